"""What would be seen if samples did not depend on which rows were trained on and which were held out."""

from __future__ import annotations

import numpy as np

from labkit.core import intervals

Near = tuple[np.ndarray, np.ndarray]


def rank_z(samples: np.ndarray, held: np.ndarray) -> float:
    """The deviate of the Mann-Whitney statistic of distances: far below 0 where samples lie nearer than held-out rows do.

    Meehan, Chaudhuri and Dasgupta, 2020, arXiv 2004.05675. Ties share their ranks. nan where either is empty.
    """
    from scipy.stats import rankdata

    m, n = len(samples), len(held)
    if not m or not n:
        return float("nan")
    u = rankdata(np.concatenate([samples, held]))[:m].sum() - m * (m + 1) / 2
    return float((u - m * n / 2) / np.sqrt(m * n * (m + n + 1) / 12))


def nearest_is_trained(nearest: np.ndarray, trained: np.ndarray) -> tuple[float, float, float, float]:
    """The share of samples whose nearest row is one that was trained on, its interval, and how often chance gives so many.

    Were the samples independent of the training, any row would be a trained one with the share of these among all, and
    all samples that are nearest to one row would share its fate. That number is convolved from binomial ones exactly; as
    rows are dealt without replacement it varies less, so that p is no smaller than it should be (Hoeffding, 1963, doi
    10.1080/01621459.1963.10500830). The interval is Wilson's for as many independent samples as vary so much.

    Args:
        nearest: (samples,) number of the row nearest to each. trained: (rows,) whether it was trained on.

    Returns:
        Share, low, high, p; nan without a sample.
    """
    from scipy.stats import binom

    if not len(nearest):
        return (float("nan"),) * 4
    count = np.bincount(nearest)
    count = count[count > 0]
    pmf = np.ones(1)
    for size, rows in zip(*np.unique(count, return_counts=True)):
        spread = np.zeros(size * rows + 1)
        spread[::size] = binom.pmf(np.arange(rows + 1), rows, trained.mean())
        pmf = np.convolve(pmf, spread)
    hits = int(trained[nearest].sum())
    share, independent = hits / len(nearest), effective(nearest)
    low, high = intervals.wilson(share * independent, independent)
    return share, float(low), float(high), float(min(1.0, max(pmf[hits:].sum(), 0.0)))


def smaller(samples: Near, held: Near) -> tuple[float, float, float, float]:
    """How often a sample's number is smaller than a held-out row's, its interval, and how often chance alone gives as much
    (one-sided, by the rank statistic); 1/2 by chance.

    Rows of a kind whose nearest training row is the same one tell the same: they count as as many independent ones as vary
    so much, in p and in the interval (DeLong's, widened on the logit scale).

    Args:
        samples, held: numbers, and of each the training row that is the nearest.
    """
    from scipy.special import expit, logit, ndtr

    (a, of_a), (b, of_b) = samples, held
    plain, few = 1 / len(a) + 1 / len(b), 1 / effective(of_a) + 1 / effective(of_b)
    wider = np.sqrt(few / plain)
    area, low, high = intervals.delong(np.repeat([1, 0], [len(a), len(b)]), -np.concatenate([a, b]))
    if 0 < area < 1:
        low, high = (float(expit(logit(area) + wider * (logit(end) - logit(area)))) for end in (low, high))
    return area, low, high, float(ndtr(rank_z(a, b) / wider))


def effective(nearest: np.ndarray) -> float:
    """As many independent rows as vary as much as these, where those with the same nearest one go together."""
    count = np.bincount(nearest)
    return float(count.sum() ** 2 / np.square(count, dtype=np.float64).sum())


def among_smallest(samples: np.ndarray, held: np.ndarray, share: float) -> tuple[float, float, float, float]:
    """The share of samples among the smallest numbers of both, as it were if there were as many samples as held-out rows
    (1/2 by chance), its interval (Wilson's), and how often chance alone gives so many (hypergeometric)."""
    from scipy.stats import hypergeom

    m, n = len(samples), len(held)
    both = np.concatenate([samples, held])
    most = np.partition(both, k := max(1, round(share * (m + n))) - 1)[k]
    few, hits = int((both <= most).sum()), int((samples <= most).sum())  # equal numbers go together
    ends = [hits / few, *(float(end) for end in intervals.wilson(hits, few))]
    balanced = [e / m / (e / m + (1 - e) / n) for e in ends]
    return balanced[0], balanced[1], balanced[2], float(hypergeom(m + n, m, few).sf(hits - 1))
