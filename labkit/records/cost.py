"""What results cost: passes, operations, time, memory, energy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

PerResult = Annotated[np.ndarray, Dims("result")]


@dataclass(frozen=True, kw_only=True)
class Cost(Record):
    """What each of some results took to make. nan is not known. A result that was made inside another is part of it.

    Attributes:
        results: the analysis, and what it was about.
        forwards, backwards: examples that went through a model, and whose gradient came back.
        flops: operations of matrix products and convolutions, two for each multiplication with its addition, on one
            example of each shape, times examples; a pass back counts as two forward.
        seconds: of the clock on the wall.
        peak_memory: bytes; on CUDA the most that torch held, else the most that the whole process had held by then.
        joules: an estimate; ``energy`` says how it was made.
        uncounted: examples whose operations could not be counted; flops leave them out.
    """

    results: tuple[str, ...]
    forwards: PerResult
    backwards: PerResult
    flops: PerResult
    seconds: PerResult
    peak_memory: PerResult
    joules: PerResult
    uncounted: PerResult
    energy: tuple[str, ...]
