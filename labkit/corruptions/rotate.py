"""A tilted camera."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._image import either, warped
from labkit.corruptions._severity import at, restore, unit


def rotate(
    x: np.ndarray, severity: int, generator: Draws, bounds: tuple[float, float]
) -> Annotated[np.ndarray, "image", "geometry"]:
    """Turns each image by 6 to 35 degrees, one way or the other; the edge goes on outwards."""
    turn = np.deg2rad(at(severity, (6, 12, 18, 26, 35))) * either(generator)
    matrix = np.stack([np.cos(turn), -np.sin(turn), np.sin(turn), np.cos(turn)], -1).reshape(-1, 2, 2)
    return restore(warped(unit(x, bounds), matrix), bounds)
