"""Too few shades."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.corruptions._severity import at, restore, unit


def posterize(x: np.ndarray, severity: int, bounds: tuple[float, float]) -> Annotated[np.ndarray, "image", "digital"]:
    """Rounds to 9, 6, 4, 3 or 2 shades."""
    steps = at(severity, (8, 5, 3, 2, 1))
    return restore(np.round(unit(x, bounds) * steps) / steps, bounds)
