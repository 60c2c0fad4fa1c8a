"""Two models on the same rows: exact and normal tests of their difference, and intervals that count training runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labkit.core.intervals import paired

NAN = float("nan")


def mcnemar(only_first: np.ndarray, only_other: np.ndarray) -> np.ndarray:
    """Two-sided exact p of rows that the first alone has right and rows that the other alone has right being equally
    likely (Q. McNemar, 1947, doi 10.1007/BF02295996). 1 where no row tells the two apart."""
    from scipy.stats import binom

    least = np.minimum(only_first, only_other)
    return np.asarray(np.minimum(1.0, 2 * binom.cdf(least, np.add(only_first, only_other), 0.5)))


def delong(y: np.ndarray, first: np.ndarray, other: np.ndarray, level: float = 0.95) -> tuple[float, ...]:
    """The difference of two areas under the ROC curve on the same rows, first minus other.

    Normal, with the variance of E. DeLong, D. DeLong and D. Clarke-Pearson, 1988, doi 10.2307/2531595, from the share
    of the other class that each row outranks by either score. Where that says nothing (no row differs from another, one
    row of a class) the ends are as far away as those of ``unvaried`` pairs, one for each row of the smaller class.

    Args:
        y: (n,) 1 for the positive class, 0 for the other. first, other: (n,) scores, higher for the positive class.

    Returns:
        Difference, lower and upper end, two-sided p; nan without both classes.
    """
    from scipy.special import ndtr, ndtri
    from scipy.stats import rankdata

    m, n = int((y == 1).sum()), int((y == 0).sum())
    if not m or not n:
        return (NAN,) * 4
    parts = []
    for score in (first, other):
        positive, negative = score[y == 1], score[y == 0]
        ranks = rankdata(np.concatenate([positive, negative]))
        parts.append(((ranks[:m] - rankdata(positive)) / n, 1 - (ranks[m:] - rankdata(negative)) / m))
    above, below = (one - two for one, two in zip(*parts))
    apart = float(above.mean())
    variance = sum(v.var(ddof=1) / len(v) for v in (above, below) if len(v) > 1)
    if variance < 1e-18 or min(m, n) == 1:
        return apart, *unvaried(apart, min(m, n), level)
    half = float(ndtri(0.5 + level / 2)) * np.sqrt(variance)
    p = float(2 * ndtr(-abs(apart) / np.sqrt(variance)))
    return apart, float(max(apart - half, -1.0)), float(min(apart + half, 1.0)), p


def unvaried(apart: float, n: int, level: float = 0.95) -> tuple[float, float, float]:
    """Interval and two-sided p of a difference of two rates that n pairs of rows show without any spread: as far to either
    side as the ends of n pairs of which none tells the two apart; p by the signs of the pairs."""
    low, high = (float(end) for end in paired(0, 0, n, level))
    p = 1.0 if abs(apart) < 1e-12 else min(1.0, 2 * 0.5**n)
    return max(apart + low, -1.0), min(apart + high, 1.0), p


def welch(
    estimate: float, variances: Sequence[float], freedom: Sequence[float], above: float = 0.0, level: float = 0.95
) -> tuple[float, float, float]:
    """Interval and one-sided p of an estimate whose variance is a sum, such as that over rows and that over runs.

    Student's, with the degrees of freedom of Satterthwaite, 1946, doi 10.2307/3002019, and Welch, 1947, doi
    10.2307/2332510. Rows by runs are a crossed design: the two parts together count what rows and runs do together
    twice, so that the interval is no narrower than it should be.

    Returns:
        Lower and upper end, and p of a true value of at most ``above``.
    """
    from scipy.special import stdtr, stdtrit

    parts = np.asarray(variances, float)
    total = parts.sum()
    if not np.isfinite(total) or np.isnan(estimate):
        return NAN, NAN, NAN
    if total <= 0:
        return float(estimate), float(estimate), float(estimate <= above)
    degrees = total**2 / (parts**2 / np.asarray(freedom, float)).sum()
    half = float(stdtrit(degrees, 0.5 + level / 2) * np.sqrt(total))
    return float(estimate) - half, float(estimate) + half, float(stdtr(degrees, (above - estimate) / np.sqrt(total)))
