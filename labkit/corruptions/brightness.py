"""Too much light."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.corruptions._severity import at, restore, unit


def brightness(x: np.ndarray, severity: int, bounds: tuple[float, float]) -> Annotated[np.ndarray, "image", "digital"]:
    """Adds 0.1 to 0.5 of the range to every value.

    Source: Hendrycks and Dietterich, 2019, arXiv 1903.12261 (section 4).
    """
    return restore(unit(x, bounds) + at(severity, (0.1, 0.2, 0.3, 0.4, 0.5)), bounds)
