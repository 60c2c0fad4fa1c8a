"""What a training run costs: passes, memory, energy."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping
from typing import Any

import torch

from labkit.training import distributed
from labkit.training.members import Members

# An assumption, not a reading: a busy core of a server with its share of memory, fans and power supply.
WATTS_PER_THREAD = 10.0
# The board's stated limit where it is known; a busy training step of a small model stays below it.
WATTS_PER_GPU = {"H200": 700.0, "H100": 700.0, "A100": 400.0, "L40S": 350.0, "L4": 72.0, "T4": 70.0, "V100": 300.0}
WATTS_OTHERWISE = 300.0


class Costs:
    """Passes and greatest memory of a run, over all of its parts when it was interrupted.

    Attributes:
        forwards, backwards: examples that went through the model and back, validation and an adversary's included.
        peak_memory: bytes; on CUDA what torch held, else the whole process with Python and the data in it.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.forwards = self.backwards = self.peak_memory = 0
        self._before = (0, 0)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self.look()

    def look(self) -> None:
        """Take note of the memory in use until now."""
        self.peak_memory = max(self.peak_memory, _peak_memory(self.device))

    def add(self, *members: Members) -> None:
        """Count the passes that these have made so far in this process."""
        every = {id(m): m for m in members}.values()
        made = (sum(m.forwards for m in every), sum(m.backwards for m in every))
        self.forwards, self.backwards = (a + distributed.world() * b for a, b in zip(self._before, made))
        self.look()

    def told(self) -> dict[str, int]:
        return {"forwards": self.forwards, "backwards": self.backwards, "peak_memory": self.peak_memory}

    def restore(self, told: Mapping[str, Any]) -> None:
        """Go on from what an interrupted run had told."""
        self._before = self.forwards, self.backwards = told["forwards"], told["backwards"]
        self.peak_memory = max(self.peak_memory, told["peak_memory"])


def energy(seconds: float, device: torch.device) -> tuple[float, str]:
    """Joules, and how they were estimated: time at a stated power. No meter was read."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        found = next((w for key, w in WATTS_PER_GPU.items() if key in name), None)
        source = "the board's stated limit" if found else "assumed for an unknown board"
        watts = (found or WATTS_OTHERWISE) * distributed.world()
        return seconds * watts, f"estimate, at most: seconds x {watts:g} W ({source}); no meter was read"
    watts = torch.get_num_threads() * distributed.world() * WATTS_PER_THREAD
    method = f"estimate: seconds x {watts:g} W ({WATTS_PER_THREAD:g} W a busy thread, assumed); no meter was read"
    return seconds * watts, method


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)
