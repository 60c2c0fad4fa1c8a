"""Ice on the pane, from the rim inwards."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._image import clouds, places, veiled
from labkit.corruptions._severity import at, restore, unit


def frost(
    x: np.ndarray, severity: int, generator: Draws, bounds: tuple[float, float]
) -> Annotated[np.ndarray, "image", "weather"]:
    """Light ridges of a random field, dense at the rim, hiding up to 25 to 85 % of what is behind.

    Source: the idea is Hendrycks and Dietterich's, 2019, arXiv 1903.12261, who paste photographs of frost.
    """
    field = clouds(generator, x.shape[2:], rough=0.8)
    ridges = (1 - np.abs(2 * field - 1)) ** 2
    rows, columns = (np.abs(2 * p / max(p.max(), 1) - 1) for p in places(x))
    rim = 0.4 + 0.6 * np.maximum(rows, columns) ** 2
    share = at(severity, (0.25, 0.4, 0.55, 0.7, 0.85)) * rim * (0.35 + 0.65 * ridges)
    return restore(veiled(unit(x, bounds), share, 0.7 + 0.3 * ridges), bounds)
