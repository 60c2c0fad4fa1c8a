"""Association tests of word vectors: effect sizes, all ways to deal words to sets, draws of words with replacement."""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np

from labkit.core import resampling

# All partitions are counted up to so many; beyond, they are drawn.
EXACT = 50_000
# Sums over partitions are made in parts of at most so many numbers.
PART = 4_000_000


class Dealt(NamedTuple):
    """How often items dealt to two sets at random differ as much: two-sided and one-sided p of each row of values."""

    p: np.ndarray
    one_sided: np.ndarray
    exact: bool
    partitions: int


def effect(values: np.ndarray, first: int, weight: np.ndarray | None = None) -> np.ndarray:
    """(...,) mean of the first items of the last axis less that of the others, over the standard deviation of all
    (denominator n - 1); nan where all are equal. ``weight``: how often each item counts."""
    w = np.ones(values.shape[-1]) if weight is None else weight
    weighed, n = w * values, w.sum(-1)
    means = [weighed[..., part].sum(-1) / w[..., part].sum(-1) for part in (slice(first), slice(first, None))]
    spread = (w * (values - (weighed.sum(-1) / n)[..., None]) ** 2).sum(-1) / (n - 1)
    known = spread > 1e-24
    return np.divide(means[0] - means[1], np.sqrt(spread), out=np.full(spread.shape, np.nan), where=known)


def dealt(values: np.ndarray, first: int, permutations: int, generator: np.random.Generator) -> Dealt:
    """p of (k, n) values, of which the first ``first`` make one set. The spread of all stays the same however they are
    dealt, so that the difference of means orders the effects; it follows from the sum over the first set."""
    n = values.shape[1]
    exact = comb(n, first) <= EXACT
    if exact:
        chosen = np.array(list(combinations(range(n), first)))
    else:
        chosen = generator.permuted(np.tile(np.arange(n), (permutations, 1)), axis=1)[:, :first]
    member = np.zeros((len(chosen), n))
    np.put_along_axis(member, chosen, 1.0, axis=1)
    middle, observed = values.mean(1, keepdims=True) * first, values[:, :first].sum(1, keepdims=True)
    size = 1e-12 + 1e-9 * np.abs(values).max()
    larger, further = np.zeros((2, len(values)))
    for part in np.array_split(member, max(1, len(member) * len(values) // PART)):
        sums = values @ part.T
        larger = larger + (sums >= observed - size).sum(1)
        further = further + (np.abs(sums - middle) >= np.abs(observed - middle) - size).sum(1)
    # among all partitions the one observed is counted; draws do not hold it
    extra = 0 if exact else 1
    total = len(chosen) + extra
    return Dealt((further + extra) / total, (larger + extra) / total, exact, len(chosen))


def resampled(
    cosines: np.ndarray,
    sets: tuple[int, int],
    attributes: tuple[int, int],
    replicates: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """(replicates,) effects when the words of every set are drawn with replacement.

    Args:
        cosines: (targets, attributes). sets: how many targets each of the two sets has, the second 0 for a single one.
    """
    rows, columns = (
        np.concatenate([resampling.bootstrap_counts(np.ones(n), replicates, generator) for n in pair if n], 1)
        for pair in (sets, attributes)
    )
    if sets[1]:
        contrast = columns / np.repeat(attributes, attributes) * np.repeat([1, -1], attributes)
        return effect(contrast @ cosines.T, sets[0], rows)
    return effect(rows @ cosines / sets[0], attributes[0], columns)


def items(cosines: np.ndarray, sets: tuple[int, int], attributes: tuple[int, int]) -> tuple[np.ndarray, int]:
    """What is dealt to two sets, and how many belong to the first: the target words' differences; of a single target set
    the attribute words' mean cosines with it. ``cosines`` may have leading axes."""
    if sets[1]:
        return scores(cosines, attributes[0]), sets[0]
    return cosines.mean(-2), attributes[0]


def scores(cosines: np.ndarray, first: int) -> np.ndarray:
    """(..., targets) mean cosine with the first attributes less that with the others."""
    return np.asarray(cosines[..., :first].mean(-1) - cosines[..., first:].mean(-1))
