"""A moving camera."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._image import side, smeared
from labkit.corruptions._severity import at, restore, unit


def motion_blur(
    x: np.ndarray, severity: int, generator: Draws, bounds: tuple[float, float]
) -> Annotated[np.ndarray, "image", "blur"]:
    """The mean along a line of 6 to 30 % of the side, in a direction of its own for each image.

    Source: Hendrycks and Dietterich, 2019, arXiv 1903.12261 (section 4).
    """
    u, angle = unit(x, bounds), np.pi * generator.uniform(1)[:, 0]
    return restore(smeared(u, at(severity, (0.06, 0.1, 0.15, 0.22, 0.3)) * side(u), angle), bounds)
