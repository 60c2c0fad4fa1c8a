"""A soft lens."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.corruptions._image import blurred, side
from labkit.corruptions._severity import at, restore, unit


def gaussian_blur(x: np.ndarray, severity: int, bounds: tuple[float, float]) -> Annotated[np.ndarray, "image", "blur"]:
    """Blurs by a Gaussian of a quarter pixel and 0.8 to 4 % of the side.

    Source: Hendrycks and Dietterich, 2019, arXiv 1903.12261 (appendix B).
    """
    u = unit(x, bounds)
    return restore(blurred(u, 0.25 + at(severity, (0.008, 0.014, 0.02, 0.028, 0.04)) * side(u)), bounds)
