"""Not in the middle."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._image import places, sample, side
from labkit.corruptions._severity import at, restore, unit


def translate(
    x: np.ndarray, severity: int, generator: Draws, bounds: tuple[float, float]
) -> Annotated[np.ndarray, "image", "geometry"]:
    """Moves each image by 4 to 22 % of the side, in a direction of its own; the edge goes on outwards."""
    u, angle = unit(x, bounds), 2 * np.pi * generator.uniform(1, 1)
    length = at(severity, (0.04, 0.08, 0.12, 0.17, 0.22)) * side(u)
    rows, columns = places(u)
    return restore(sample(u, rows + length * np.sin(angle), columns + length * np.cos(angle)), bounds)
