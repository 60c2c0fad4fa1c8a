"""Bootstrap and permutation draws, from counts where counts suffice, and what is read off them.

A draw from counts costs the same for a hundred people as for ten million.
"""

from __future__ import annotations

import zlib

import numpy as np

from labkit.core.draws import check_seed
from labkit.core.extremes import Groups

# Arrays over all pairs of groups are made in parts of at most so many numbers.
PART = 4_000_000


def stream(seed: int, *names: str) -> np.random.Generator:
    """A generator of its own for each name, so that what else is computed does not change a result."""
    check_seed(seed)
    return np.random.default_rng([seed & 0xFFFFFFFFFFFFFFFF, zlib.crc32("\0".join(names).encode())])


def bootstrap_counts(counts: np.ndarray, replicates: int, generator: np.random.Generator) -> np.ndarray:
    """(replicates, cells): how often each cell is drawn when its rows are drawn with replacement."""
    total = int(counts.sum())
    return generator.multinomial(total, counts / total, size=replicates)


def coarse(scores: np.ndarray, most: int) -> np.ndarray:
    """Scores put together to at most ``most`` levels of about equal size, each at its mean; equal scores stay equal.

    Draws from so many levels differ from draws of the scores themselves by far less than they differ from each other.
    """
    values, code, count = np.unique(scores, return_inverse=True, return_counts=True)
    if len(values) <= most:
        return scores
    level = ((np.cumsum(count) - count / 2) * most / len(scores)).astype(np.int64)
    means = np.bincount(level, values * count, most) / np.maximum(np.bincount(level, count, most), 1)
    return means[level][code]


def permuted_tables(table: np.ndarray, replicates: int, generator: np.random.Generator) -> np.ndarray:
    """(replicates, groups, cells): tables with the same margins, as when rows change groups at random.

    Each group in turn takes its number of rows from those that are left (multivariate hypergeometric).
    """
    sizes = table.sum(1)
    left = np.repeat(table.sum(0)[None], replicates, 0)
    drawn = np.zeros((replicates, *table.shape), np.int64)
    for group, size in enumerate(sizes):
        wanted, others = np.full(replicates, size), left.sum(1)
        for cell in range(table.shape[1]):
            others = others - left[:, cell]
            drawn[:, group, cell] = generator.hypergeometric(left[:, cell], others, wanted)
            wanted = wanted - drawn[:, group, cell]
        left = left - drawn[:, group]
    return drawn


def permuted(code: np.ndarray, strata: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Group codes in random order within each stratum."""
    mixed = np.argsort(generator.random(len(code)))
    by_stratum = mixed[np.argsort(strata[mixed], kind="stable")]
    shuffled = np.empty_like(code)
    shuffled[np.argsort(strata, kind="stable")] = code[by_stratum]
    return shuffled


def spread(values: np.ndarray) -> np.ndarray:
    """Largest minus smallest along the last axis; nan where fewer than two are known."""
    known = ~np.isnan(values)
    top = np.where(known, values, -np.inf).max(-1)
    bottom = np.where(known, values, np.inf).min(-1)
    return np.where(known.sum(-1) > 1, top - bottom, np.nan)


def surest(values: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest difference between two entries of the last axis in units of its own precision, and which pair it is.

    A difference of groups of m and n counts ``1 / sqrt(1 / m + 1 / n)``, so that a small group does not drown the rest.

    Args:
        values: (..., groups). sizes: (groups,) how many each value rests on.

    Returns:
        (...,) the scaled difference, nan where fewer than two values are known; (..., 2) indices of higher and lower.
    """
    first, second = np.triu_indices(values.shape[-1], 1)
    scale = 1 / np.sqrt(1 / sizes[first] + 1 / sizes[second])
    flat = values.reshape(-1, values.shape[-1])
    best, pair = np.full(len(flat), np.nan), np.zeros((len(flat), 2), np.int64)
    for part in np.array_split(np.arange(len(flat)), max(1, len(flat) * len(first) // PART)):
        difference = (flat[part][:, first] - flat[part][:, second]) * scale
        at = np.where(np.isnan(difference), -1.0, np.abs(difference)).argmax(1)
        found = difference[np.arange(len(part)), at]
        best[part] = np.abs(found)
        turned = found < 0
        pair[part] = np.column_stack([np.where(turned, second[at], first[at]), np.where(turned, first[at], second[at])])
    return best.reshape(values.shape[:-1]), pair.reshape(*values.shape[:-1], 2)


def least_ratio(values: np.ndarray) -> np.ndarray:
    """Smallest over largest along the last axis; nan where fewer than two are known or the largest is not positive."""
    known = ~np.isnan(values)
    top = np.where(known, values, -np.inf).max(-1)
    bottom = np.where(known, values, np.inf).min(-1)
    fit = (known.sum(-1) > 1) & (top > 0)
    return np.divide(bottom, top, out=np.full(top.shape, np.nan), where=fit)


def share_as_large(null: np.ndarray, value: float) -> float:
    """p-value: the share of draws at least as large, the observed one counted in (Phipson and Smyth, 2010,
    doi 10.2202/1544-6115.1585), so that it is never 0."""
    null = null[~np.isnan(null)]
    if np.isnan(value) or not len(null):
        return float("nan")
    return float((1 + np.count_nonzero(null >= value - 1e-12)) / (1 + len(null)))


def exact_difference(hits: np.ndarray, n: np.ndarray) -> float:
    """p-value of the difference of two proportions: the share of all ways to deal the hits to the two groups that
    differ at least as much (Fisher's exact test, ordered by the difference)."""
    from scipy.stats import hypergeom

    total, size = int(hits.sum()), n.astype(int)
    least, most = max(0, total - size[1]), min(size[0], total)
    observed = abs(hits[0] / size[0] - hits[1] / size[1]) - 1e-12
    # The difference grows by so much with each hit that the first group gets.
    step = 1 / size[0] + 1 / size[1]
    below = int(np.floor((total / size[1] - observed) / step))
    above = int(np.ceil((total / size[1] + observed) / step))
    if below >= above - 1:
        return 1.0
    dealt = hypergeom(int(size.sum()), total, int(size[0]))
    # Terms fall off from the edges of the tails: beyond 60 standard deviations nothing is left of them.
    width = int(60 * dealt.std()) + 100
    lower = np.arange(max(least, below - width), below + 1)
    upper = np.arange(above, min(most, above + width) + 1)
    return float(min(1.0, dealt.pmf(lower).sum() + dealt.pmf(upper).sum()))


def bias_corrected(draws: np.ndarray, estimate: float, level: float = 0.95) -> tuple[float, float]:
    """Bias-corrected percentile interval from bootstrap draws (Efron, 1981, doi 10.1080/01621459.1981.10477643).

    Where resampling itself moves the statistic by more than half of its spread, as it does a calibration error near 0,
    neither percentiles nor the pivotal interval (2 estimate - percentile) cover; the interval then holds both, and is
    wide. A distance from 0 grows by noise as squares add up, so that its lower end is also taken there. Draws in which the statistic is undefined are left out; nan when fewer than 20 are left.
    """
    from scipy.special import ndtr, ndtri

    known = np.asarray(draws, float)
    known = known[~np.isnan(known)]
    if len(known) < 20 or np.isnan(estimate):
        return float("nan"), float("nan")
    tails = np.array([0.5 - level / 2, 0.5 + level / 2])
    if abs(known.mean() - estimate) > known.std() / 2:
        ends = np.quantile(known, tails)
        both = np.concatenate([ends, 2 * estimate - ends])
        if known.min() >= 0 and known.mean() > estimate:
            both = np.append(both, np.sqrt(max(0.0, 2 * estimate**2 - ends[1] ** 2)))
        return float(both.min()), float(both.max())
    below = np.mean(known < estimate) + np.mean(known == estimate) / 2
    shift = 2 * ndtri(np.clip(below, 0.5 / len(known), 1 - 0.5 / len(known)))
    low, high = np.quantile(known, ndtr(shift + ndtri(tails)))
    return float(low), float(high)


def largest_difference(
    draws: np.ndarray, values: np.ndarray, level: float = 0.95, sizes: np.ndarray | None = None
) -> tuple[float, float]:
    """Interval for the largest difference among several values, from bootstrap draws (replicates, groups).

    The upper end is the largest of the pairs' upper ends, normal with the bootstrap's standard errors: some pair truly
    is the furthest apart. The lower end allows for having picked the pair (``core.extremes``), with the draws about the
    values as the noise, and is 0 where all may be equal.

    Args:
        sizes: (groups,) people. With them no group counts as surer than the groups' people are on average: among few
            people the groups that lie highest seem surer than they are.
    """
    from scipy.special import ndtri

    draws = draws[~np.isnan(draws).any(1)]
    error = draws.std(0) if len(draws) else np.zeros(len(values))
    if sizes is not None:
        error = np.maximum(error, np.sqrt(np.mean(error**2 * sizes) / sizes))
    first, second = np.triu_indices(len(values), 1)
    scale = np.hypot(error[first], error[second])
    if not scale.any():
        return float("nan"), float("nan")
    deviate = float(ndtri(0.5 + level / 2))
    upper = float((np.abs(values[first] - values[second]) + deviate * scale).max())
    away = draws - values
    groups = Groups(values, lambda _: error, lambda truth, count: truth + away[:count])
    return groups.lower_end(level, deviate), upper


def between_largest(draws: np.ndarray, values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Interval for the largest of k values less the largest of k others, such as the disparities of two rules.

    That is the greatest, over the first, of the least, over the others, of a first less an other, and so it rises with
    every such difference: put at the ends of intervals that hold for all of them at once (the ``level`` point of the
    largest deviation in standard errors), it gives the ends. A bootstrap of the two largest themselves covers too
    seldom. Values more than 10 standard errors below the largest are left aside.

    Args:
        draws: (replicates, 2, k) of both together, on the same rows. values: (2, k).

    Returns:
        Lower and upper end; nan where a value is not known, or fewer than 20 draws are.
    """
    draws = draws[~np.isnan(draws).any((1, 2))]
    if len(draws) < 20 or np.isnan(values).any():
        return float("nan"), float("nan")
    error = 5 * draws.std(0)
    (a, first), (b, other) = (
        (draws[:, i, kept] - values[i, kept], values[i, kept])
        for i in (0, 1)
        for kept in [values[i] + error[i] >= (values[i] - error[i]).max()]
    )
    squared = a.var(0)[:, None] + b.var(0) - 2 * (a - a.mean(0)).T @ (b - b.mean(0)) / len(a)
    scale, between = np.sqrt(np.maximum(squared, 0)), first[:, None] - other
    moving = scale > 1e-9
    if not moving.any():
        return (float(between.min(1).max()),) * 2
    parts = np.array_split(np.arange(len(a)), max(1, a.size * b.shape[1] // PART))
    worst = [(np.abs(a[p][:, :, None] - b[p][:, None])[:, moving] / scale[moving]).max(1) for p in parts]
    half = np.quantile(np.concatenate(worst), level) * np.where(moving, scale, 0.0)
    return float((between - half).min(1).max()), float((between + half).min(1).max())
