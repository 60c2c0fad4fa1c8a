"""Rain."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._image import side, smeared, veiled
from labkit.corruptions._severity import at, restore, unit


def rain(
    x: np.ndarray, severity: int, generator: Draws, bounds: tuple[float, float]
) -> Annotated[np.ndarray, "image", "weather"]:
    """Bright thin streaks, near to upright, over 5 to 25 % of the picture, under a sky that is up to a third darker.

    Hendrycks and Dietterich, 2019, arXiv 1903.12261, have no rain; this is in their spirit.
    """
    u, slant = unit(x, bounds), np.pi * (0.42 + 0.16 * generator.spawn(1).uniform(1)[:, 0])
    cover, length = at(severity, (0.05, 0.09, 0.13, 0.18, 0.25)), 0.22 * side(u)
    drops = (generator.uniform(1, *x.shape[2:]) < cover / length).astype(np.float32)
    streaks = np.clip(length * smeared(drops, length, slant)[:, 0], 0, 1)
    return restore(veiled(u * (1 - 1.3 * cover), 0.7 * streaks, 0.9), bounds)
