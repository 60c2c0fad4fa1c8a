"""The five severities, and the way from the data's units to 0..1 and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from labkit.core.refused import Refused

Level = TypeVar("Level")
SEVERITIES = (1, 2, 3, 4, 5)


def at(severity: int, levels: Sequence[Level]) -> Level:
    """The level that stands for a severity from 1 (slight) to 5 (strong)."""
    if severity not in SEVERITIES or isinstance(severity, bool):
        raise Refused(f"a corruption of severity {severity!r}", repr(severity), "a severity from 1 to 5")
    return levels[int(severity) - 1]


def unit(x: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    """Inputs as float32 between 0 and 1."""
    low, high = bounds
    return ((x - low) / (high - low)).astype(np.float32)


def restore(u: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    """Values between 0 and 1 in the data's units, float32; what lies beyond is cut off."""
    low, high = bounds
    return np.clip(u * (high - low) + low, low, high).astype(np.float32)
