"""What a model leans on, by group: shares of an attribution's size, how far groups are apart in them, and by chance."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from labkit.analyses._groups.between import nothing_apart, permuted_means
from labkit.core import resampling

# Draws of rows are made in parts of at most so many numbers.
PART = 4_000_000
# Numbers with more values than this are cut into as many ranges, each with people enough for a line in it.
RANGES, PEOPLE = 20, 20


def shares(attribution: np.ndarray, columns: list[list[int]]) -> np.ndarray:
    """(n, features) each feature's part of the attribution's size; columns of one feature are summed with their signs.
    nan in rows that are withheld or all zero."""
    size = np.abs(np.stack([attribution[:, c].astype(float).sum(1) for c in columns], 1))
    total = size.sum(1, keepdims=True)
    return np.divide(size, total, out=np.full(size.shape, np.nan), where=total > 0)


def entries_used(attribution: np.ndarray) -> np.ndarray:
    """(n,) the exponential of the entropy of an attribution's sizes: 1 where one entry has all, k where k have alike."""
    size = np.abs(attribution.reshape(len(attribution), -1).astype(float))
    total = size.sum(1, keepdims=True)
    part = np.divide(size, total, out=np.full(size.shape, np.nan), where=total > 0)
    return np.exp(-(part * np.log(np.where(part > 0, part, 1.0))).sum(1))


def reliance(
    share: np.ndarray, code: np.ndarray, at: np.ndarray, replicates: int, generator: np.random.Generator
) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """How far the groups ``at`` are apart in their mean shares: for the record's "reliance", and by column the largest
    difference and p over all columns at once (the largest of the columns' differences in each permutation, each in units of
    its spread: P. Westfall and S. Young, 1993, single step).

    Args:
        share: (n, columns) of the people compared, none nan. code: (n,) their groups, 0 to len(at) - 1.
    """
    columns = share.shape[1]
    if len(at) < 2:
        return nothing_apart(), np.full(columns, np.nan), np.full(columns, np.nan)
    sizes = np.bincount(code)
    means = np.stack([np.bincount(code, column) / sizes for column in share.T], 1)
    null = permuted_means(share, code, replicates, generator)
    first, second = np.array(list(combinations(range(len(at)), 2))).T
    precision = 1 / np.sqrt(1 / sizes[first] + 1 / sizes[second])

    def distances(drawn: np.ndarray) -> np.ndarray:
        return np.abs(drawn[..., first, :] - drawn[..., second, :]).sum(-1) / 2

    own, random = distances(means), distances(null)
    draws = np.stack([_resampled(share[code == g], replicates, generator) for g in range(len(at))], 1)
    low, high = resampling.bias_corrected(distances(draws).max(1), float(own.max()))
    pair, surest = int(own.argmax()), float((own * precision).max())
    part = {
        "highest": int(at[first[pair]]),
        "lowest": int(at[second[pair]]),
        "difference": float(own.max()),
        "difference_low": max(low, 0.0),
        "difference_high": min(high, 1.0),
        "null95": float(np.quantile(random.max(1), 0.95)),
        "p": resampling.share_as_large((random * precision).max(1), surest),
    }
    spread = share.std(0)
    scale = np.divide(1, spread, out=np.zeros(columns), where=spread > 0)
    beside, _ = resampling.surest(means.T, sizes)
    largest = (resampling.surest(np.swapaxes(null, 1, 2), sizes)[0] * scale).max(1)
    p = np.array([resampling.share_as_large(largest, float(v)) for v in beside * scale])
    return part, np.ptp(means, axis=0), p


def counts_alike(
    size: np.ndarray, values: np.ndarray, code: np.ndarray, replicates: int, generator: np.random.Generator
) -> float:
    """p of a column counting as much in one group as in another among people with like values of it: (n,) sizes of its
    attribution, less what people of the same value (or range of values, with a line in it) have on average, beside groups
    made at random among such people. nan where no value is shared by two groups.

    Of a sum of one term a column it holds however the groups' values differ. ``values``: (n, k) of the columns read
    together.
    """
    strata, distinct = _strata(values)
    if not any(len(np.unique(code[strata == s])) > 1 for s in range(strata.max() + 1)):
        return float("nan")
    left = _within(size, strata) if distinct else _without_line(size, values[:, 0].astype(float), strata)
    sizes, base = np.bincount(code), np.argsort(strata, kind="stable")
    null = []
    for part in np.array_split(np.empty(replicates), max(1, -(-replicates * len(code) // PART))):
        order = np.argsort(strata + generator.random((len(part), len(code))), axis=1)
        mixed = np.empty_like(order)
        mixed[:, base] = code[order]
        null.append(np.stack([(mixed == g) @ left / k for g, k in enumerate(sizes)], 1))
    own = np.bincount(code, left) / sizes
    return resampling.share_as_large(
        resampling.surest(np.concatenate(null), sizes)[0], float(resampling.surest(own, sizes)[0])
    )


def _strata(values: np.ndarray) -> tuple[np.ndarray, bool]:
    """(n,) which people have like values, and whether these are the same values and no ranges."""
    distinct, code = np.unique(values, axis=0, return_inverse=True)
    if len(distinct) <= RANGES or values.shape[1] > 1:
        return code.ravel(), True
    cuts = np.quantile(values[:, 0], np.linspace(0, 1, max(2, min(RANGES, len(values) // PEOPLE)) + 1)[1:-1])
    return np.unique(np.searchsorted(cuts, values[:, 0]), return_inverse=True)[1].ravel(), False


def _within(values: np.ndarray, strata: np.ndarray) -> np.ndarray:
    return values - (np.bincount(strata, values) / np.bincount(strata))[strata]


def _without_line(size: np.ndarray, values: np.ndarray, strata: np.ndarray) -> np.ndarray:
    y, x = _within(size, strata), _within(values, strata)
    square = np.bincount(strata, x * x)
    slope = np.divide(np.bincount(strata, x * y), square, out=np.zeros(len(square)), where=square > 0)
    return y - slope[strata] * x


def _resampled(share: np.ndarray, replicates: int, generator: np.random.Generator) -> np.ndarray:
    """(replicates, columns) mean shares of people drawn with replacement."""
    n = len(share)
    parts = np.array_split(np.empty(replicates), max(1, -(-replicates * n // PART)))
    return np.concatenate([resampling.bootstrap_counts(np.ones(n), len(p), generator) @ share / n for p in parts])
