"""A camera that moves towards what it sees."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.corruptions._image import warped
from labkit.corruptions._severity import at, restore, unit


def zoom_blur(x: np.ndarray, severity: int, bounds: tuple[float, float]) -> Annotated[np.ndarray, "image", "blur"]:
    """The mean of ten images enlarged from 1 to 1.1 times, up to 1.5 times.

    Source: Hendrycks and Dietterich, 2019, arXiv 1903.12261 (section 4).
    """
    u = unit(x, bounds)
    factors = np.linspace(1, at(severity, (1.1, 1.18, 1.27, 1.38, 1.5)), 10)
    return restore(np.mean([warped(u, np.eye(2)[None] / f) for f in factors], axis=0), bounds)
