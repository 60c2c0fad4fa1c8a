"""Intervals for proportions, their differences and their ratios, in closed form.

Every function takes numbers or arrays and works element by element. Where there is nothing to estimate from
(n = 0) both ends are nan.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Counts = Any
Ends = tuple[np.ndarray, np.ndarray]


def wilson(hits: Counts, n: Counts, level: float = 0.95) -> Ends:
    """Wilson's score interval for a proportion (Wilson, 1927, doi 10.1080/01621459.1927.10502953).

    Covers close to ``level`` on average, also at 0 of n and n of n. Real-valued counts are allowed.

    Returns:
        Lower and upper ends, in [0, 1]; nan where n is 0.
    """
    hits, n = np.broadcast_arrays(np.asarray(hits, float), np.asarray(n, float))
    z = _z(level)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = hits / n
        middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    low = np.where(hits == 0, np.where(n > 0, 0.0, np.nan), middle - half)
    high = np.where((hits == n) & (n > 0), 1.0, middle + half)
    return low, high


def clopper_pearson(hits: Counts, n: Counts, level: float = 0.95) -> Ends:
    """The exact interval for a proportion (Clopper and Pearson, 1934, doi 10.1093/biomet/26.4.404).

    Covers at least ``level`` whatever the true proportion: for bounds and small counts.

    Returns:
        Lower and upper ends, in [0, 1]; nan where n is 0.
    """
    from scipy.special import betaincinv

    hits, n = np.broadcast_arrays(np.asarray(hits, float), np.asarray(n, float))
    tail = (1 - level) / 2
    misses = n - hits
    low = np.where(hits > 0, betaincinv(np.maximum(hits, 1), misses + 1, tail), 0.0)
    high = np.where(misses > 0, betaincinv(hits + 1, np.maximum(misses, 1), 1 - tail), 1.0)
    return np.where(n > 0, low, np.nan), np.where(n > 0, high, np.nan)


def _z(level: float) -> float:
    """The normal deviate that leaves ``1 - level`` in the two tails together."""
    from scipy.special import ndtri

    return float(ndtri(0.5 + level / 2))
