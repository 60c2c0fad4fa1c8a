"""What the best of several estimates is worth, given that it was picked for being the best.

Andrews, Kitagawa and McCloskey, 2024, "Inference on winners", doi 10.1093/qje/qjad043: the hybrid of inference given that
this one won and of an interval that holds for all at once. It covers at its level whether the candidates are alike or one
of them is far ahead, and whether they are right on the same rows or not.
"""

from __future__ import annotations

import numpy as np

# Of the 5 % that an interval may miss, so much is spent on the interval that holds for all at once (as in the paper).
SHARE = 0.1
DRAWS, STEPS = 4000, 60


def noise(covariance: np.ndarray, draws: int, generator: np.random.Generator) -> np.ndarray:
    """(draws, candidates) normal deviations with a covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    return generator.normal(size=(draws, len(values))) @ (vectors * np.sqrt(np.maximum(values, 0))).T


def winner(
    values: np.ndarray, covariance: np.ndarray, deviations: np.ndarray, level: float = 0.95
) -> tuple[float, float, float]:
    """A median-unbiased estimate of the largest value's own truth, and its hybrid interval.

    Args:
        values: (candidates,) normal estimates, of which the largest was chosen. covariance: of them.
        deviations: (draws, candidates) of ``noise`` with that covariance.

    Returns:
        Estimate, lower and upper end.
    """
    best = int(values.argmax())
    error = np.sqrt(np.diag(covariance))
    x, s = float(values[best]), float(error[best])
    moving = error > 0
    if not s:
        return x, x, x
    largest = np.abs(deviations[:, moving] / error[moving]).max(1)
    spent = SHARE * (1 - level)
    reach = float(np.quantile(largest, 1 - spent)) * s
    low, high = _won_between(values, covariance[best] / s**2, best)
    tail = (1 - level - spent) / (1 - spent) / 2
    estimate, lower, upper = (_solve(share, x, s, low, high, reach) for share in (0.5, 1 - tail, tail))
    return estimate, lower, upper


def _won_between(values: np.ndarray, slope: np.ndarray, best: int) -> tuple[float, float]:
    """Between which values the winner wins, the part of the others that does not move with it held fixed."""
    x = values[best]
    others = np.arange(len(values)) != best
    rest, gain = (values - slope * x)[others], (1 - slope)[others]
    below, above = gain > 1e-9, gain < -1e-9
    low = float((rest[below] / gain[below]).max()) if below.any() else -np.inf
    high = float((rest[above] / gain[above]).min()) if above.any() else np.inf
    return min(low, x), max(high, x)


def _solve(share: float, x: float, s: float, low: float, high: float, reach: float) -> float:
    """The mean under which so large a share of truncated normal values lies at or below x. The share falls with the
    mean, from 1 where x is ``reach`` above it to 0 where x is ``reach`` below."""
    from scipy.special import ndtr

    bottom, top = x - reach, x + reach
    for _ in range(STEPS):
        mean = (bottom + top) / 2
        start, end = max(low, mean - reach), min(high, mean + reach)
        mass = ndtr((end - mean) / s) - ndtr((start - mean) / s)
        below = ndtr((x - mean) / s) - ndtr((start - mean) / s)
        bottom, top = (mean, top) if below > share * mass else (bottom, mean)
    return (bottom + top) / 2


def steadied(correlation: np.ndarray, n: int) -> np.ndarray:
    """Correlations of k columns seen on n rows, drawn towards their mean by as much of their spread as chance gives.

    Where k is not small beside n, some of so many correlations look strong by chance (the shrinkage of Schäfer and
    Strimmer, 2005, doi 10.2202/1544-6115.1175, with one correlation for all as its target).
    """
    apart = ~np.eye(len(correlation), dtype=bool)
    seen = correlation[apart]
    if len(seen) < 6:
        return correlation
    middle = seen.mean()
    by_chance = ((1 - seen**2) ** 2).mean() / n
    share = min(1.0, by_chance / max(((seen - middle) ** 2).mean(), 1e-12))
    return np.where(apart, share * middle + (1 - share) * correlation, correlation)
