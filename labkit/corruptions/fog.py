"""Fog that lies in banks."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._image import clouds, veiled
from labkit.corruptions._severity import at, restore, unit


def fog(
    x: np.ndarray, severity: int, generator: Draws, bounds: tuple[float, float]
) -> Annotated[np.ndarray, "image", "weather"]:
    """Mixes in a light grey of 25 to 75 %, thinner here and thicker there, after a random field.

    Source: the idea is Hendrycks and Dietterich's, 2019, arXiv 1903.12261; the field is a sum of smooth grids.
    """
    banks = clouds(generator, x.shape[2:], rough=0.6)
    share = at(severity, (0.25, 0.38, 0.5, 0.62, 0.75)) * (0.6 + 0.4 * banks)
    return restore(veiled(unit(x, bounds), share, 0.85), bounds)
