"""Hum of the mains."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.corruptions._severity import at


def hum(
    x: np.ndarray,
    severity: int,
    generator: Draws,
    *,
    period: Annotated[float, Range(2, 100_000, log=True), "steps of one wave: 160 are 50 Hz at 8,000 a second"] = 160.0,
) -> Annotated[np.ndarray, "audio", "series", "noise"]:
    """Adds a regular wave of 0.15 to 1.2 standard deviations of each channel; at least three waves a row."""
    steps, phase = x.shape[-1], generator.uniform(*x.shape[1:-1], 1)
    wave = np.sin(2 * np.pi * (np.arange(steps) / min(period, steps / 3) + phase))
    return (x + at(severity, (0.15, 0.3, 0.5, 0.8, 1.2)) * x.std(-1, keepdims=True) * wave).astype(x.dtype)
