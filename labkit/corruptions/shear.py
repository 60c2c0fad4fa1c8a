"""Seen from the side."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._image import either, warped
from labkit.corruptions._severity import at, restore, unit


def shear(
    x: np.ndarray, severity: int, generator: Draws, bounds: tuple[float, float]
) -> Annotated[np.ndarray, "image", "geometry"]:
    """Slants each image by 0.1 to 0.5 of its height, one way or the other; the edge goes on outwards."""
    slant = at(severity, (0.1, 0.2, 0.3, 0.4, 0.5)) * either(generator)
    matrix = np.stack([np.ones_like(slant), 0 * slant, slant, np.ones_like(slant)], -1).reshape(-1, 2, 2)
    return restore(warped(unit(x, bounds), matrix), bounds)
