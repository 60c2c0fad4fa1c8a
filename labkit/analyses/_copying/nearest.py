"""The nearest of many rows, and rows cut into regions."""

from __future__ import annotations

import numpy as np

from labkit.core import progress
from labkit.core.resampling import PART

FITTED = 3000  # rows that the regions are fitted to, at most


def nearest(rows: np.ndarray, among: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
    """For each of (n, width) rows the number of the nearest among others, and how far it is: the root mean square of the
    difference of a value."""
    step, squares = max(1, PART // len(among)), np.square(among, dtype=np.float64).sum(1).astype(among.dtype)
    found = np.zeros(len(rows), np.int64)
    for start in range(0, len(rows), step):
        progress.step(what, start, len(rows))
        part = slice(start, start + step)
        # |a - b|^2 = |a|^2 - 2 ab + |b|^2, and |a|^2 is the same for all b
        found[part] = (squares - 2 * rows[part] @ among.T).argmin(1)
    progress.step(what, len(rows), len(rows))
    difference = rows.astype(np.float64) - among[found]
    return found, np.sqrt(np.square(difference).mean(1))


def regions(rows: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """(count, width) centres of rows, by k-means."""
    from scipy.cluster.vq import kmeans2

    some = rows[np.sort(generator.permutation(len(rows))[:FITTED])].astype(np.float64)
    return np.asarray(kmeans2(some, count, iter=15, minit="++", missing="warn", rng=generator)[0]).astype(rows.dtype)
