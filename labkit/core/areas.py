"""Areas under the ROC curve of several scores of the same people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def placements(y: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each example of class 1 the share of the others that it outranks, and for each of those the share of class 1
    that outranks it, ties by half: both have the area as their mean."""
    from scipy.stats import rankdata

    positive, negative = score[y == 1], score[y == 0]
    m, n = len(positive), len(negative)
    ranks = rankdata(np.concatenate([positive, negative]))
    return (ranks[:m] - rankdata(positive)) / n, 1 - (ranks[m:] - rankdata(negative)) / m


def difference(y: np.ndarray, score: np.ndarray, others: Sequence[np.ndarray] | np.ndarray) -> tuple[float, float]:
    """The area of one score less the mean area of others, and its standard error.

    E. DeLong, D. DeLong and D. Clarke-Pearson, 1988, doi 10.2307/2531595: scores of the same examples are correlated, so
    that the variance is that of each example's difference in placement.

    Args:
        y: (n,) 0 or 1, two or more of each. score: (n,). others: several (n,).
    """
    own, rest = placements(y, score), [placements(y, other) for other in others]
    apart = [mine - np.mean([part[i] for part in rest], axis=0) for i, mine in enumerate(own)]
    return float(apart[0].mean()), float(np.sqrt(sum(a.var(ddof=1) / len(a) for a in apart)))


def guessing_error(positives: int, negatives: int) -> float:
    """The standard deviation of the area of a score that tells nothing (Mann and Whitney, 1947)."""
    return float(np.sqrt((positives + negatives + 1) / (12 * positives * negatives)))


def refitted(folds: int) -> float:
    """How many times as widely as that of one guess the area of a learner scatters that is cross-fitted to nothing, taken
    generously: learners that share most of their rows err alike (Nadeau and Bengio, 2003, doi 10.1023/A:1024068626366)."""
    return float(np.sqrt(1 + folds / (folds - 1)))
