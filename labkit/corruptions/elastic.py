"""Bent like rubber."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._image import enlarged, places, sample, side
from labkit.corruptions._severity import at, restore, unit

CELLS = 6  # bends along each side


def elastic(
    x: np.ndarray, severity: int, generator: Draws, bounds: tuple[float, float]
) -> Annotated[np.ndarray, "image", "geometry"]:
    """Moves pixels along a smooth random field: 1.5 to 7 % of the side as its standard deviation.

    Source: Simard, Steinkraus and Platt, 2003, doi 10.1109/ICDAR.2003.1227801.
    """
    u, height, width = unit(x, bounds), *x.shape[2:]
    grids = generator.normal(2, CELLS, CELLS)
    length = at(severity, (0.015, 0.026, 0.038, 0.053, 0.07)) * side(u)
    down, across = (length * enlarged(grids[:, k], height, width) for k in (0, 1))
    rows, columns = places(u)
    return restore(sample(u, rows + down, columns + across), bounds)
