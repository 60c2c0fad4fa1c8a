"""Falling snow."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._image import blurred, side, smeared, veiled
from labkit.corruptions._severity import at, restore, unit


def snow(
    x: np.ndarray, severity: int, generator: Draws, bounds: tuple[float, float]
) -> Annotated[np.ndarray, "image", "weather"]:
    """Bright flakes over 4 to 22 % of the picture, drawn out along the wind, and all of it up to 30 % paler.

    Source: the idea is Hendrycks and Dietterich's, 2019, arXiv 1903.12261.
    """
    u, wind = unit(x, bounds), np.pi * (0.25 + 0.5 * generator.spawn(1).uniform(1)[:, 0])
    cover, pale = at(severity, ((0.04, 0.05), (0.07, 0.1), (0.11, 0.16), (0.16, 0.23), (0.22, 0.3)))
    size, length = 0.35 + 0.006 * side(u), 0.05 * side(u)
    area = max(1.0, 2 * np.pi * size**2) * max(1.0, 0.4 * length / size)  # pixels of a flake
    flakes = (generator.uniform(1, *x.shape[2:]) < cover / area).astype(np.float32)
    falling = np.clip(area * smeared(blurred(flakes, size), length, wind)[:, 0], 0, 1)
    return restore(veiled(u * (1 - pale) + 0.75 * pale, falling, 1.0), bounds)
