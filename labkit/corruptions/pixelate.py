"""Too few pixels."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.corruptions._severity import at, restore, unit


def pixelate(x: np.ndarray, severity: int, bounds: tuple[float, float]) -> Annotated[np.ndarray, "image", "digital"]:
    """The mean over blocks: 0.7 down to 0.2 of the pixels along each side.

    Source: Hendrycks and Dietterich, 2019, arXiv 1903.12261 (section 4).
    """
    u, share = unit(x, bounds), at(severity, (0.7, 0.5, 0.36, 0.27, 0.2))
    for axis in (2, 3):
        cells = max(2, round(share * u.shape[axis]))
        starts = np.ceil(np.arange(cells) * u.shape[axis] / cells).astype(np.int64)
        sizes = np.diff(starts, append=u.shape[axis])
        means = np.moveaxis(np.add.reduceat(u, starts, axis=axis), axis, -1) / sizes.astype(np.float32)
        u = np.moveaxis(np.repeat(means, sizes, axis=-1), -1, axis)
    return restore(u, bounds)
