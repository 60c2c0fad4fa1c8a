"""Noise that grows with the brightness."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._severity import at, restore, unit


def speckle_noise(
    x: np.ndarray, severity: int, generator: Draws, bounds: tuple[float, float]
) -> Annotated[np.ndarray, "image", "noise"]:
    """Adds normal noise of 0.15 to 0.7 of each value.

    Source: Hendrycks and Dietterich, 2019, arXiv 1903.12261 (appendix B).
    """
    u = unit(x, bounds)
    return restore(u + u * at(severity, (0.15, 0.25, 0.35, 0.5, 0.7)) * generator.normal(*x.shape[1:]), bounds)
