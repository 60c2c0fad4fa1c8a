"""Out of focus."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from scipy.ndimage import convolve

from labkit.corruptions._image import side
from labkit.corruptions._severity import at, restore, unit


def defocus_blur(x: np.ndarray, severity: int, bounds: tuple[float, float]) -> Annotated[np.ndarray, "image", "blur"]:
    """The mean over a disc of half a pixel and 1.2 to 5.5 % of the side around each pixel.

    Source: Hendrycks and Dietterich, 2019, arXiv 1903.12261 (section 4).
    """
    u = unit(x, bounds)
    radius = 0.5 + at(severity, (0.012, 0.02, 0.03, 0.042, 0.055)) * side(u)
    reach = np.arange(-np.ceil(radius), np.ceil(radius) + 1)
    disc = np.clip(radius + 0.5 - np.hypot(reach[:, None], reach), 0, 1)
    return restore(convolve(u, (disc / disc.sum())[None, None], mode="nearest"), bounds)
