"""Seen through frosted glass."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._image import blurred, places, sample, side
from labkit.corruptions._severity import at, restore, unit


def glass_blur(
    x: np.ndarray, severity: int, generator: Draws, bounds: tuple[float, float]
) -> Annotated[np.ndarray, "image", "blur"]:
    """Each pixel takes the value of a random place at most 2 to 7.5 % of the side away, then a slight blur.

    Source: Hendrycks and Dietterich, 2019, arXiv 1903.12261 (section 4), with places drawn at once in place of swaps.
    """
    u, reach = unit(x, bounds), at(severity, (0.02, 0.03, 0.042, 0.057, 0.075))
    moves = reach * side(u) * (2 * generator.uniform(2, *x.shape[2:]) - 1)
    rows, columns = places(u)
    return restore(blurred(sample(u, rows + moves[:, 0], columns + moves[:, 1]), 0.4), bounds)
