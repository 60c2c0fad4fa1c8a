"""Too little contrast."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.corruptions._severity import at, restore, unit


def contrast(x: np.ndarray, severity: int, bounds: tuple[float, float]) -> Annotated[np.ndarray, "image", "digital"]:
    """Draws every value towards its channel's mean: to 0.6, down to 0.08 of the distance.

    Source: Hendrycks and Dietterich, 2019, arXiv 1903.12261 (section 4).
    """
    u = unit(x, bounds)
    middle = u.mean((2, 3), keepdims=True)
    return restore(middle + at(severity, (0.6, 0.42, 0.28, 0.17, 0.08)) * (u - middle), bounds)
