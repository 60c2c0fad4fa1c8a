"""Two parts told apart by a learner, and by the mean of their features; classes told by a model's answers alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labkit.analyses._groups import probes
from labkit.core import areas, intervals, resampling

FOLDS, DEALS, KERNEL = 5, 199, 400
DRAWS = 1000
NAN = float("nan")


def told_apart(
    first: np.ndarray, other: np.ndarray, sizes: Sequence[int] | None, seed: int, generator: np.random.Generator
) -> dict[str, tuple[float, float, float, float]]:
    """Each learner's area under the ROC curve, its interval and p-value, on rows that it was not fitted to: the classifier
    two-sample test (Lopez-Paz and Oquab, 2017, arXiv 1610.06545), cross-fitted; p counts that such areas scatter more
    than one guess (``areas.refitted``).

    Args:
        sizes: categories of each column of a table, 0 for numbers; None for plain vectors.
    """
    from scipy.special import ndtr

    x, part = np.concatenate([first, other]), np.repeat([0, 1], [len(first), len(other)])
    fold = probes.dealt_folds(part, FOLDS, generator)
    error = areas.guessing_error(len(other), len(first)) * areas.refitted(FOLDS)
    found = {}
    for name, fit in probes.learners(sizes, seed).items():
        area, low, high = intervals.delong(part, probes.crossed(fit, x, part, 2, fold).proba[:, 1])
        found[name] = area, low, high, float(ndtr((0.5 - area) / error))
    return found


def discrepancy(first: np.ndarray, other: np.ndarray, generator: np.random.Generator) -> tuple[float, float]:
    """Squared maximum mean discrepancy of a Gaussian kernel as wide as the median distance, unbiased, and its p-value over
    permutations (Gretton et al., 2012, Journal of Machine Learning Research 13)."""
    first, other = (v[generator.permutation(len(v))[:KERNEL]].astype(np.float64) for v in (first, other))
    z = np.concatenate([first, other])
    z = (z - z.mean(0)) / np.where(z.std(0) > 0, z.std(0), 1.0)
    squared = np.maximum(np.square(z).sum(1)[:, None] - 2 * z @ z.T + np.square(z).sum(1), 0)
    kernel = np.exp(-squared / (float(np.median(squared[np.triu_indices(len(z), 1)])) or 1.0))
    np.fill_diagonal(kernel, 0.0)
    mine = np.zeros((DEALS + 1, len(z)))
    mine[0, : len(first)] = 1
    for k in range(1, DEALS + 1):
        mine[k, generator.permutation(len(z))[: len(first)]] = 1
    n, m = len(first), len(other)
    within = mine @ kernel
    a = (within * mine).sum(1) / (n * (n - 1))
    mixed = (within * (1 - mine)).sum(1)
    b = (kernel.sum() - (within * mine).sum(1) - 2 * mixed) / (m * (m - 1))
    values = a + b - 2 * mixed / (n * m)
    return float(values[0]), resampling.share_as_large(values[1:], float(values[0]))


def estimated_shares(
    y: np.ndarray, answers: np.ndarray, new_answers: np.ndarray, classes: int, generator: np.random.Generator
) -> np.ndarray:
    """(3, classes) shares of the classes among new rows, and their bootstrap interval, from a model's answers alone: the
    shares that would mix its confusion on known rows to the answers seen (Lipton, Wang and Smola, 2018, arXiv 1802.03916).
    It holds where only the classes' shares have changed. nan where the confusion cannot be inverted."""
    table = np.bincount(answers * classes + y, minlength=classes * classes)
    count = np.bincount(new_answers, minlength=classes)
    value = _unmixed(table[None], count[None], classes)[0]
    if np.isnan(value).any():
        return np.full((3, classes), NAN)
    drawn = _unmixed(
        resampling.bootstrap_counts(table, DRAWS, generator),
        resampling.bootstrap_counts(count, DRAWS, generator),
        classes,
    )
    ends = [resampling.bias_corrected(column, float(v)) for column, v in zip(drawn.T, value)]
    return np.clip(np.vstack([value, np.transpose(ends)]), 0, 1)


def _unmixed(tables: np.ndarray, counts: np.ndarray, classes: int) -> np.ndarray:
    joint = tables.reshape(-1, classes, classes).astype(float)
    of = joint.sum(1, keepdims=True)
    mixing = np.divide(joint, of, out=np.zeros_like(joint), where=of > 0)
    fit = np.linalg.cond(mixing) < 100
    share = np.full((len(joint), classes), NAN)
    seen = counts / counts.sum(1, keepdims=True)
    share[fit] = np.linalg.solve(mixing[fit], seen[fit][..., None])[..., 0]
    return share
