"""Noise of a sensor in the dark."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._severity import at, restore, unit


def gaussian_noise(
    x: np.ndarray, severity: int, generator: Draws, bounds: tuple[float, float]
) -> Annotated[np.ndarray, "image", "noise"]:
    """Adds independent normal noise to every value: 0.04 to 0.38 of the range.

    Source: Hendrycks and Dietterich, 2019, arXiv 1903.12261; the first two severities are milder.
    """
    u = unit(x, bounds)
    return restore(u + at(severity, (0.04, 0.08, 0.14, 0.24, 0.38)) * generator.normal(*x.shape[1:]), bounds)
