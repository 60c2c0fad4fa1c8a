"""Something in front of it."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.corruptions._image import places, side
from labkit.corruptions._severity import at, restore, unit


def cutout(
    x: np.ndarray,
    severity: int,
    generator: Draws,
    bounds: tuple[float, float],
    *,
    shade: Annotated[float, Range(0, 1), "what stands in front: 0 is the least value, 1 the greatest"] = 0.5,
) -> Annotated[np.ndarray, "image", "occlusion"]:
    """Covers a square of 0.2 to 0.6 of the side, at a place of its own for each image, all of it within.

    Source: DeVries and Taylor, 2017, arXiv 1708.04552.
    """
    u = unit(x, bounds)
    size = max(1, round(at(severity, (0.2, 0.3, 0.4, 0.5, 0.6)) * side(u)))
    top, left = (generator.uniform(2) * (np.array(x.shape[2:]) - size)).round().T[:, :, None, None]
    rows, columns = places(u)
    covered = (rows >= top) & (rows < top + size) & (columns >= left) & (columns < left + size)
    return restore(np.where(covered[:, None], np.float32(shade), u), bounds)
