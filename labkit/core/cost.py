"""What work costs: passes through models, operations, time, memory, energy. Models add to one count; a meter reads it."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass, field, replace
from typing import Any

# An assumption, not a reading: a busy core of a server with its share of memory, fans and power supply.
WATTS_PER_THREAD = 10.0
# The board's stated limit where it is known; a busy training step of a small model stays below it.
WATTS_PER_GPU = {"H200": 700.0, "H100": 700.0, "A100": 400.0, "L40S": 350.0, "L4": 72.0, "T4": 70.0, "V100": 300.0}
WATTS_OTHERWISE = 300.0


@dataclass
class Work:
    """What models of this process have done.

    Attributes:
        forwards, backwards: examples that went through a model, and whose gradient came back.
        flops: operations of matrix products and convolutions, two for each multiplication and addition; a pass back counts
            as two forward.
        uncounted: examples that went through models whose operations could not be counted.
    """

    forwards: int = 0
    backwards: int = 0
    flops: float = 0.0
    uncounted: int = 0

    def add(self, forwards: int, backwards: int, each: float | None) -> None:
        """Count examples; ``each`` are the operations that one of them takes forward, None where nobody knows."""
        self.forwards += forwards
        self.backwards += backwards
        if each is None:
            self.uncounted += forwards
        else:
            self.flops += (forwards + 2 * backwards) * each


DONE = Work()


@dataclass
class Meter:
    """What was done since the meter was made. Where several threads work, each sees the others' work too."""

    before: Work = field(default_factory=lambda: replace(DONE))
    clock: float = field(default_factory=time.perf_counter)

    def cost(self) -> dict[str, Any]:
        """Passes, operations, seconds, bytes and joules until now, and how the energy was estimated."""
        seconds = time.perf_counter() - self.clock
        joules, method = energy(seconds, **_where())
        return {
            "forwards": DONE.forwards - self.before.forwards,
            "backwards": DONE.backwards - self.before.backwards,
            "flops": DONE.flops - self.before.flops,
            "uncounted": DONE.uncounted - self.before.uncounted,
            "seconds": round(seconds, 3),
            "peak_memory": peak_memory(),
            "joules": round(joules, 2),
            "energy": method,
        }


def energy(seconds: float, *, threads: int = 1, board: str = "", processes: int = 1) -> tuple[float, str]:
    """Joules, and how they were estimated: time at a stated power, of a GPU where one is named. No meter was read."""
    if board:
        found = next((w for key, w in WATTS_PER_GPU.items() if key in board), None)
        source = "the board's stated limit" if found else "assumed for an unknown board"
        watts = (found or WATTS_OTHERWISE) * processes
        return seconds * watts, f"estimate, at most: seconds x {watts:g} W ({source}); no meter was read"
    watts = threads * processes * WATTS_PER_THREAD
    method = f"estimate: seconds x {watts:g} W ({WATTS_PER_THREAD:g} W a busy thread, assumed); no meter was read"
    return seconds * watts, method


def peak_memory() -> int:
    """Bytes: on CUDA the most that torch held, where it was used; else the most that the whole process took until now,
    with Python and the data in it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return int(torch.cuda.max_memory_allocated())
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def _where() -> dict[str, Any]:
    """The threads or the board that work here; torch is asked only where it has been imported."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    if torch.cuda.is_initialized():
        return {"board": torch.cuda.get_device_name()}
    return {"threads": torch.get_num_threads()}
