"""Shares of trials that come in clusters, such as many trials of each of a few rows."""

from __future__ import annotations

import numpy as np

from labkit.core.intervals import clopper_pearson


def clustered(hits: np.ndarray, trials: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """The share of all trials that hit, with an interval over clusters drawn at random.

    Clopper and Pearson's for as many independent trials as would vary as much (E. Korn and B. Graubard, 1998, Survey
    Methodology 24, 193-201). Where all trials end alike they tell as much as one trial a cluster.

    Args:
        hits, trials: (clusters,) in each cluster; those without a trial do not count.
    """
    from scipy.special import stdtrit

    hits, trials = (np.asarray(v, float)[np.asarray(trials) > 0] for v in (hits, trials))
    clusters, n = len(hits), trials.sum()
    if not clusters:
        return (float("nan"),) * 3
    share = hits.sum() / n
    variance = ((hits - share * trials) ** 2).sum() * clusters / max(clusters - 1, 1) / n**2
    worth = float(clusters)
    if clusters > 1 and variance > 0:
        tails = (stdtrit(m - 1, 0.5 + level / 2) for m in (n, clusters))
        worth = min(float(n), share * (1 - share) / variance * (next(tails) / next(tails)) ** 2)
    low, high = clopper_pearson(share * worth, worth, level)
    return float(share), float(low), float(high)
