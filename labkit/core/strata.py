"""Two groups compared within strata: common differences and ratios of proportions, and what chance alone would give.

Arrays end in the axis of the strata. A stratum without anybody of one of the two groups says nothing and counts nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from labkit.core import intervals, resampling
from labkit.core.power import normal

Estimate = tuple[Any, Any, Any]


def common_difference(hits: Any, n: Any, other_hits: Any, other_n: Any, level: float = 0.95) -> Estimate:
    """The Mantel-Haenszel difference of two proportions, first minus other, and its interval, in [-1, 1].

    Weights and estimate: Greenland and Robins, 1985, doi 10.2307/2530643; variance: Sato, 1989, doi 10.2307/2531784,
    which holds for few large strata and for many small ones. Where it is 0, since nobody or everybody has it, the ends
    are Newcombe's for all strata together.

    Args:
        hits, n, other_hits, other_n: (..., strata) how many have it, out of how many, in the first group and the other.
    """
    a, m, b, t, total = _counts(hits, n, other_hits, other_n)
    weight = (m * t / total).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = ((a * t - b * m) / total).sum(-1) / weight
        slope = ((m**2 * b - t**2 * a + m * t * (t - m) / 2) / total**2).sum(-1)
        base = ((a * (t - b) + b * (m - a)) / (2 * total)).sum(-1)
        half = normal(0.5 + level / 2) * np.sqrt(np.maximum(value * slope + base, 0)) / weight
    low, high = intervals.newcombe(a.sum(-1), m.sum(-1), b.sum(-1), t.sum(-1), level)
    flat = half <= 1e-12
    return value, np.where(flat, low, np.maximum(value - half, -1)), np.where(flat, high, np.minimum(value + half, 1))


def common_ratio(hits: Any, n: Any, other_hits: Any, other_n: Any, level: float = 0.95) -> Estimate:
    """The Mantel-Haenszel ratio of two proportions, first over other, and its interval on the log scale (Greenland and
    Robins, 1985, doi 10.2307/2530643); nan ends where either group has no hit, a nan value where the other has none."""
    a, m, b, t, total = _counts(hits, n, other_hits, other_n)
    first, other = (a * t / total).sum(-1), (b * m / total).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(other > 0, first / other, np.nan)
        variance = ((m * t * (a + b) - a * b * total) / total**2).sum(-1) / (first * other)
        half = normal(0.5 + level / 2) * np.sqrt(variance)
        low, high = np.exp(np.log(value) - half), np.exp(np.log(value) + half)
    none = (first == 0) | (other == 0)
    return value, np.where(none, np.nan, low), np.where(none, np.nan, high)


def deviations(hits: np.ndarray, n: np.ndarray, reference: int) -> np.ndarray:
    """(groups,) how far each group is from the reference within strata, in standard deviations under equality.

    The square is the Cochran-Mantel-Haenszel statistic without continuity correction where there are two groups (Mantel
    and Haenszel, 1959, doi 10.1093/jnci/22.4.719); with more, the variance is that of dealing all groups' hits anew.

    Args:
        hits, n: (groups, strata). reference: the group that the others are compared with; its own entry is nan.
    """
    return _scaled(_apart(hits, n, reference).sum(-1), hits, n, reference)


def permuted_deviations(
    hits: np.ndarray, n: np.ndarray, reference: int, replicates: int, generator: np.random.Generator
) -> np.ndarray:
    """(replicates, groups) of ``deviations`` when the hits of each stratum are dealt anew to its people."""
    apart = np.zeros((replicates, len(hits)))
    for k in range(hits.shape[1]):
        table = np.column_stack([hits[:, k], n[:, k] - hits[:, k]]).astype(np.int64)
        dealt = resampling.permuted_tables(table, replicates, generator)[:, :, 0]
        apart += _apart(dealt, n[:, k], reference, strata=False)
    return _scaled(apart, hits, n, reference)


def deviation(hits: np.ndarray, n: np.ndarray, reference: int) -> np.ndarray:
    """(groups,) one standard deviation of the common difference to the reference under equality; 0 for the reference,
    and where there is nothing to compare."""
    total, hit = n.sum(0), hits.sum(0)
    spread = np.divide(hit * (total - hit), total * (total - 1.0), out=np.zeros(len(total)), where=total > 1)
    weight = weights(n, reference)
    whole = weight.sum(-1)
    found = np.divide(np.sqrt((weight * spread).sum(-1)), whole, out=np.zeros(len(n)), where=whole > 0)
    found[reference] = 0
    return found


def weights(n: np.ndarray, reference: int) -> np.ndarray:
    """(groups, strata) the Mantel-Haenszel weights n m / (n + m) of each group against the reference."""
    other = n[reference]
    return np.divide(n * other, n + other, out=np.zeros(n.shape), where=n + other > 0)


def homogeneity(
    hits: Any, n: Any, other_hits: Any, other_n: Any, replicates: int, generator: np.random.Generator
) -> float:
    """p-value of one common difference in all strata: how often outcomes drawn with the common difference lie as far
    from their own one, in squared standard errors; nan where fewer than two strata have both groups."""
    a, m, b, t, total = _counts(hits, n, other_hits, other_n)
    both = (m > 0) & (t > 0)
    if both.sum() < 2:
        return float("nan")
    a, m, b, t, total = (v[both] for v in (a, m, b, t, total))
    common = common_difference(a, m, b, t)[0]
    first = np.clip((a + b + common * t) / total, 0, 1)
    other = np.clip((a + b - common * m) / total, 0, 1)
    variance = first * (1 - first) / m + other * (1 - other) / t
    if not (variance > 0).any():
        return float("nan")

    def far(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        away = (a / m - b / t - np.asarray(common_difference(a, m, b, t)[0])[..., None]) ** 2
        return np.divide(away, variance, out=np.zeros(away.shape), where=variance > 0).sum(-1)

    drawn = (generator.binomial(size.astype(int), p, (replicates, len(m))) for size, p in ((m, first), (t, other)))
    return resampling.share_as_large(far(*drawn), float(far(a, b)))


def _counts(*parts: Any) -> tuple[np.ndarray, ...]:
    a, m, b, t = np.broadcast_arrays(*(np.asarray(v, float) for v in parts))
    both = (m > 0) & (t > 0)
    a, m, b, t = (np.where(both, v, 0) for v in (a, m, b, t))
    return a, m, b, t, np.maximum(m + t, 1)


def _apart(hits: np.ndarray, n: np.ndarray, reference: int, strata: bool = True) -> np.ndarray:
    """Weighted differences to the reference: (groups, strata), or (replicates, groups) of a single stratum."""
    table, size = (hits, n) if strata else (hits.T, n[:, None])
    rate = np.divide(table, size, out=np.zeros(table.shape), where=size > 0)
    apart = weights(size, reference) * (rate - rate[reference])
    return apart if strata else apart.T


def _scaled(apart: np.ndarray, hits: np.ndarray, n: np.ndarray, reference: int) -> np.ndarray:
    spread = deviation(hits, n, reference) * weights(n, reference).sum(-1)
    return np.divide(apart, spread, out=np.full(apart.shape, np.nan), where=spread > 0)
