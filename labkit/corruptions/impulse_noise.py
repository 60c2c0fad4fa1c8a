"""Salt and pepper."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._severity import at, restore, unit


def impulse_noise(
    x: np.ndarray, severity: int, generator: Draws, bounds: tuple[float, float]
) -> Annotated[np.ndarray, "image", "noise"]:
    """Sets 3 to 27 % of the values to the least or the greatest one.

    Source: Hendrycks and Dietterich, 2019, arXiv 1903.12261 (section 4).
    """
    u, share = unit(x, bounds), at(severity, (0.03, 0.06, 0.1, 0.17, 0.27))
    draw = generator.uniform(*x.shape[1:])
    return restore(np.where(draw < share, (draw < share / 2).astype(np.float32), u), bounds)
