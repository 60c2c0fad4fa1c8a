"""Too near or too far."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._image import either, warped
from labkit.corruptions._severity import at, restore, unit


def scale(
    x: np.ndarray, severity: int, generator: Draws, bounds: tuple[float, float]
) -> Annotated[np.ndarray, "image", "geometry"]:
    """Enlarges or shrinks each image, whichever its draw says: 1.1 up to 1.6 times; the edge goes on outwards."""
    factor = np.exp(np.log(at(severity, (1.1, 1.2, 1.3, 1.45, 1.6))) * either(generator))
    return restore(warped(unit(x, bounds), np.eye(2)[None] / factor[:, None, None]), bounds)
