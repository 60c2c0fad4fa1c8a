"""Intervals for proportions, their differences and their ratios, and corrections for many at once.

Every function takes numbers or arrays and works element by element. Where there is nothing to estimate from
(n = 0) both ends are nan. What has no closed form is resampled in ``core.resampling``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from labkit.core.extremes import shares

Counts = Any
Ends = tuple[np.ndarray, np.ndarray]


class Rate(float):
    """A proportion that knows its counts. Nothing out of nothing is nan, never 0.

    Attributes:
        hits: how many had it.
        of: out of how many.
    """

    hits: float
    of: float

    def __new__(cls, hits: float, of: float) -> Rate:
        rate = super().__new__(cls, hits / of if of > 0 else float("nan"))
        rate.hits, rate.of = float(hits), float(of)
        return rate

    def __reduce__(self) -> tuple[type, tuple[float, float]]:
        return Rate, (self.hits, self.of)


def proportion(hit: np.ndarray, among: np.ndarray | None = None, weight: np.ndarray | None = None) -> Any:
    """The share of ``hit`` among the rows of ``among`` (all rows by default).

    Args:
        hit, among: (n,) booleans.
        weight: None, or (..., n): how often each row counts, for every leading index.

    Returns:
        A ``Rate``, or an array of the leading shape with nan where there is nothing to count among.
    """
    inside = np.ones(len(hit), bool) if among is None else np.asarray(among, bool)
    hit = np.asarray(hit, bool) & inside
    if weight is None:
        return Rate(int(hit.sum()), int(inside.sum()))
    hits, of = np.asarray(weight) @ hit.astype(float), np.asarray(weight) @ inside.astype(float)
    if hits.ndim == 0:
        return Rate(float(hits), float(of))
    return np.divide(hits, of, out=np.full(hits.shape, np.nan), where=of > 0)


def wilson(hits: Counts, n: Counts, level: float = 0.95) -> Ends:
    """Wilson's score interval for a proportion (Wilson, 1927, doi 10.1080/01621459.1927.10502953).

    Covers close to ``level`` on average, also at 0 of n and n of n. Real-valued counts are allowed.

    Returns:
        Lower and upper ends, in [0, 1]; nan where n is 0.
    """
    hits, n = np.broadcast_arrays(np.asarray(hits, float), np.asarray(n, float))
    z = deviate(level)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = hits / n
        middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    low = np.where((hits == 0) & (n > 0), 0.0, middle - half)
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
    low = np.where(hits > 0, betaincinv(np.where(hits > 0, hits, 1), misses + 1, tail), 0.0)
    high = np.where(misses > 0, betaincinv(hits + 1, np.where(misses > 0, misses, 1), 1 - tail), 1.0)
    return np.where(n > 0, low, np.nan), np.where(n > 0, high, np.nan)


def newcombe(hits: Counts, n: Counts, other_hits: Counts, other_n: Counts, level: float = 0.95) -> Ends:
    """Interval for the difference of two independent proportions, first minus other, from their Wilson intervals.

    Method 10 of Newcombe, 1998, doi 10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I.
    Its ends lie in [-1, 1] and it does not collapse at 0 of n or n of n.
    """
    p, q = share_of(hits, n), share_of(other_hits, other_n)
    (low_p, high_p), (low_q, high_q) = wilson(hits, n, level), wilson(other_hits, other_n, level)
    low = p - q - np.sqrt((p - low_p) ** 2 + (high_q - q) ** 2)
    high = p - q + np.sqrt((high_p - p) ** 2 + (q - low_q) ** 2)
    return low, high


def paired(only_first: Counts, only_other: Counts, n: Counts, level: float = 0.95) -> Ends:
    """Interval for the difference of two proportions of the same rows, first minus other.

    Args:
        only_first, only_other: rows that the first alone has, and the other alone.
        n: all rows, also those that both have or neither.

    Bonett and Price, 2012, doi 10.3102/1076998611411915: Wald's interval with one row more of each of the two kinds.
    """
    first, other, n = (np.asarray(v, float) for v in (only_first, only_other, n))
    p, q = (first + 1) / (n + 2), (other + 1) / (n + 2)
    half = deviate(level) * np.sqrt((p + q - (p - q) ** 2) / (n + 2))
    return np.maximum(p - q - half, -1.0), np.minimum(p - q + half, 1.0)


def paired_mean(values: np.ndarray, level: float = 0.95) -> Ends:
    """Interval for the mean of (..., n) differences between two shares of the same rows, each from -1 to 1.

    As in ``paired``, which it equals where every difference is -1, 0 or 1: Wald's interval with a row more at either
    end of the scale, so that it does not collapse where all rows are alike.
    """
    n = values.shape[-1] + 2
    middle = values.sum(-1) / n
    half = deviate(level) * np.sqrt((((values**2).sum(-1) + 2) / n - middle**2) / n)
    return np.maximum(middle - half, -1.0), np.minimum(middle + half, 1.0)


def mean(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Student's interval for the mean of independent values; nan for fewer than two."""
    from scipy.special import stdtrit

    if len(values) < 2:
        return float("nan"), float("nan")
    half = float(stdtrit(len(values) - 1, 0.5 + level / 2)) * np.std(values, ddof=1) / np.sqrt(len(values))
    middle = np.mean(values)
    return float(middle - half), float(middle + half)


def median(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Interval for the median of independent values between two of them, whatever their distribution; infinite values
    count as very large or small.

    The number of values below the median is binomial (Conover, Practical Nonparametric Statistics, 1999, section 3.2);
    the values are taken that leave at most half of ``1 - level`` on each side. Infinite ends where there are too few.
    """
    from scipy.stats import binom

    ordered = np.sort(np.asarray(values, float))
    outer = int(binom.ppf(0.5 - level / 2, len(ordered), 0.5)) if len(ordered) else 0
    if outer < 1:
        return -float("inf"), float("inf")
    return float(ordered[outer - 1]), float(ordered[len(ordered) - outer])


def skewed_mean(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Student's interval for the mean, corrected for skewness, so that a long tail is not missed (P. Hall, 1992, jstor
    2345976: the cubic transformation of the t statistic). For losses, of which a few rows have most; nan for fewer than two.
    """
    from scipy.special import stdtrit

    low, high = mean(values, level)
    n, spread = len(values), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    if not spread:
        return low, high
    away = values - np.mean(values)
    skew = float((away**3).mean() / (away**2).mean() ** 1.5) / np.sqrt(n)
    if abs(skew) < 1e-6:
        return low, high
    deviate = float(stdtrit(n - 1, 0.5 + level / 2))
    upper, lower = (3 / skew * (np.cbrt(1 + skew * (t - skew / 6)) - 1) for t in (deviate, -deviate))
    middle, error = float(np.mean(values)), spread / np.sqrt(n)
    return float(middle - error * upper), float(middle - error * lower)


def resampled_mean(values: np.ndarray, held: float, level: float = 0.95) -> tuple[float, float]:
    """Interval for the mean of scores from several cuts of the same rows, each with the share ``held`` to test.

    Such scores are not independent, since the training parts overlap: Student's interval, with the variance of the mean
    raised from 1/J to 1/J + held / (1 - held) of that of J scores (Nadeau and Bengio, 2003, doi
    10.1023/A:1024068626366; for repeated cross-validation Bouckaert and Frank, 2004, doi 10.1007/978-3-540-24775-3_3).
    """
    low, high = mean(values, level)
    half = (high - low) / 2 * np.sqrt(1 + len(values) * held / (1 - held))
    middle = np.mean(values)
    return float(middle - half), float(middle + half)


def delong(y: np.ndarray, score: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Area under the ROC curve of class 1, and its interval on the logit scale.

    The variance is that of E. DeLong, D. DeLong and D. Clarke-Pearson, 1988, doi 10.2307/2531595, from the share of
    the other class that each example outranks; Student's deviate, with the degrees of freedom of Brunner and Munzel,
    2000, doi 10.1002/(SICI)1521-4036(200001)42:1<17::AID-BIMJ17>3.0.CO;2-U. Where it says nothing (an area of 0 or 1, one example of a class) the
    ends are Wilson's for as many pairs as the smaller class has examples.
    """
    from scipy.special import stdtrit
    from scipy.stats import rankdata

    positive, negative = score[y == 1], score[y == 0]
    m, n = len(positive), len(negative)
    pairs = min(m, n)
    if not pairs:
        return (float("nan"),) * 3
    ranks = rankdata(np.concatenate([positive, negative]))
    outranked = (ranks[:m] - rankdata(positive)) / n
    outranking = 1 - (ranks[m:] - rankdata(negative)) / m
    area = float(outranked.mean())
    parts = np.array([v.var(ddof=1) / len(v) if pairs > 1 else 0.0 for v in (outranked, outranking)])
    spread = float(np.sqrt(parts.sum()))
    if not 0 < area < 1 or spread == 0:
        low, high = wilson(area * pairs, pairs, level)
        return area, float(low), float(high)
    freedom = parts.sum() ** 2 / (parts**2 / (np.array([m, n]) - 1)).sum()
    deviate = float(stdtrit(freedom, 0.5 + level / 2))
    logit, half = np.log(area / (1 - area)), deviate * spread / (area * (1 - area))
    return area, float(1 / (1 + np.exp(half - logit))), float(1 / (1 + np.exp(-half - logit)))


def largest_difference(hits: np.ndarray, n: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Interval for the largest difference among several proportions; Newcombe's, cut at 0, for two.

    The upper end is the largest of the pairs', of which one truly is the furthest apart; the lower end allows for
    having picked it (``core.extremes``) and is 0 where all may be equal. Equal counts give equal ends.
    """
    hits, n = np.asarray(hits, float), np.asarray(n, float)
    at, other = np.triu_indices(len(hits), 1)
    low, high = newcombe(hits[at], n[at], hits[other], n[other], level)
    upper = float(np.maximum(high, -low).max())
    if len(hits) == 2 or np.isnan(upper):
        return float(np.maximum(0, np.maximum(low, -high)).max()), upper
    return shares(hits, n).lower_end(level, deviate(level)), upper


def average_share(hits: np.ndarray, n: np.ndarray, level: float = 0.95) -> Ends:
    """Interval for the mean of independent proportions along the last axis, such as a balanced accuracy, from their
    Wilson intervals: the distances to their ends add up as variances do (Zou and Donner, 2008, doi 10.1002/sim.3095).
    """
    share, (low, high) = share_of(hits, n), wilson(hits, n, level)
    middle, count = share.mean(-1), share.shape[-1]
    below, above = (np.sqrt(((share - end) ** 2).sum(-1)) / count for end in (low, high))
    return middle - below, middle + above


def holm(p: np.ndarray) -> np.ndarray:
    """p-values corrected for their number (Holm, 1979, jstor 4615733): at most ``alpha`` chance of any false one below
    ``alpha``. nan entries stay and do not count."""
    return _stepped(p, lambda ascending: np.maximum.accumulate(ascending * np.arange(len(ascending), 0, -1)))


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """p-values corrected so that those below ``alpha`` hold at most that share of false ones on average (Benjamini and
    Hochberg, 1995, doi 10.1111/j.2517-6161.1995.tb02031.x; independent or positively dependent tests). nan entries stay
    and do not count."""

    def steps(ascending: np.ndarray) -> np.ndarray:
        shares = ascending * len(ascending) / np.arange(1, len(ascending) + 1)
        return np.minimum.accumulate(shares[::-1])[::-1]

    return _stepped(p, steps)


def _stepped(p: np.ndarray, steps: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """A correction that goes by the order of the p-values that are known."""
    p = np.asarray(p, float)
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p.ravel()))
    order = known[np.argsort(p.ravel()[known], kind="stable")]
    adjusted.ravel()[order] = np.minimum(steps(p.ravel()[order]), 1)
    return adjusted


def share_of(hits: Counts, n: Counts) -> np.ndarray:
    """Hits over n; nan where n is 0."""
    hits, n = np.broadcast_arrays(np.asarray(hits, float), np.asarray(n, float))
    return np.divide(hits, n, out=np.full(hits.shape, np.nan), where=n > 0)


def deviate(level: float) -> float:
    """The normal deviate that leaves ``1 - level`` in the two tails together."""
    from scipy.special import ndtri

    return float(ndtri(0.5 + level / 2))
