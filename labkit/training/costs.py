"""What a training run costs: passes, memory, energy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch

from labkit.core import cost
from labkit.training import distributed


class Counted(Protocol):
    """What counts the examples that went through it and back."""

    forwards: int
    backwards: int


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

    def add(self, *members: Counted) -> None:
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
    board = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return cost.energy(seconds, threads=torch.get_num_threads(), board=board, processes=distributed.world())


def _peak_memory(device: torch.device) -> int:
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else cost.peak_memory()
