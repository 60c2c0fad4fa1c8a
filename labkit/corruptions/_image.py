"""What several image corruptions share: values between pixels, smooth random fields, smears along a direction.

Images are (n, channels, height, width) from 0 to 1; sizes are given as shares of the shorter side, so that a severity means
the same on 28 pixels as on 224.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from labkit.core.draws import Draws


def side(u: np.ndarray) -> int:
    """The shorter side in pixels."""
    return min(u.shape[-2:])


def places(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(1, height, width) of each pixel's row and of its column."""
    height, width = u.shape[-2:]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return rows[None], columns[None]


def sample(u: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Values at places between the pixels, bilinear; beyond the edge the edge goes on.

    Args:
        rows, columns: (n or 1, height, width), in pixels.
    """
    height, width = u.shape[-2:]
    rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    top, left = np.floor(rows).astype(np.int64), np.floor(columns).astype(np.int64)
    down, across = (rows - top)[:, None], (columns - left)[:, None]
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    flat = u.reshape(*u.shape[:2], -1)

    def pick(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        index = (row * width + column).reshape(len(row), 1, -1)
        return np.take_along_axis(flat, index, 2).reshape(u.shape)

    above = pick(top, left) * (1 - across) + pick(top, right) * across
    below = pick(bottom, left) * (1 - across) + pick(bottom, right) * across
    return (above * (1 - down) + below * down).astype(np.float32)


def warped(u: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Each pixel takes the value at (n or 1, 2, 2) ``matrix`` times its own place (row, column), seen from the centre."""
    rows, columns = places(u)
    middle = (u.shape[-2] - 1) / 2, (u.shape[-1] - 1) / 2
    rows, columns = rows - middle[0], columns - middle[1]
    m = matrix.astype(np.float32)[:, :, :, None, None]
    return sample(
        u, m[:, 0, 0] * rows + m[:, 0, 1] * columns + middle[0], m[:, 1, 0] * rows + m[:, 1, 1] * columns + middle[1]
    )


def smeared(u: np.ndarray, length: float, angle: np.ndarray) -> np.ndarray:
    """The mean along a line of so many pixels through each pixel; ``angle`` (n,) in radians, 0 is along a row."""
    rows, columns = places(u)
    down, across = (f(angle).astype(np.float32)[:, None, None] for f in (np.sin, np.cos))
    steps = np.linspace(-length / 2, length / 2, 2 + int(np.ceil(length)), dtype=np.float32)
    return np.asarray(np.mean([sample(u, rows + t * down, columns + t * across) for t in steps], axis=0))


def blurred(u: np.ndarray, pixels: float) -> np.ndarray:
    """Blurred by a Gaussian of so many pixels."""
    return gaussian_filter(u, (0,) * (u.ndim - 2) + (pixels, pixels), mode="nearest")


def enlarged(grid: np.ndarray, height: int, width: int) -> np.ndarray:
    """(n, a, b) values on a coarse grid as (n, height, width), smooth in between."""
    return _ramps(height, grid.shape[1]) @ grid @ _ramps(width, grid.shape[2]).T


def _ramps(fine: int, coarse: int) -> np.ndarray:
    """(fine, coarse) the share of each coarse value in each fine one: cubic steps from one to the next."""
    at = np.linspace(0, coarse - 1, fine, dtype=np.float32)
    near = np.clip(1 - np.abs(at[:, None] - np.arange(coarse, dtype=np.float32)), 0, 1)
    return (near * near * (3 - 2 * near)).astype(np.float32)


def clouds(generator: Draws, size: tuple[int, ...], rough: float) -> np.ndarray:
    """(n, *size) from 0 to 1: random fields of grids twice as fine each, ``rough`` times as strong each."""
    total = np.zeros((len(generator), *size), np.float32)
    cells, octave = 2, 0
    while octave == 0 or cells < min(size):
        grid = generator.spawn(octave).uniform(cells + 1, cells + 1)
        total += np.float32(rough**octave) * enlarged(grid, *size)
        cells, octave = 2 * cells, octave + 1
    low, high = total.min((1, 2), keepdims=True), total.max((1, 2), keepdims=True)
    return (total - low) / np.maximum(high - low, 1e-6)


def veiled(u: np.ndarray, share: np.ndarray, shade: np.ndarray | float) -> np.ndarray:
    """Mixed with a ``shade``, of which each pixel takes a ``share``; both (n, height, width), alike in all channels."""
    veil = share[:, None]
    return u * (1 - veil) + veil * (shade[:, None] if isinstance(shade, np.ndarray) else shade)


def either(generator: Draws) -> np.ndarray:
    """(n,) of -1 or 1."""
    return generator.signs(1)[:, 0]
