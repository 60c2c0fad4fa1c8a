"""How far groups are apart in a number, with an interval that allows for having picked the pair, beside groups made at
random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from math import comb
from typing import Any

import numpy as np

from labkit.analyses._groups.grouping import Grouping
from labkit.core import intervals, resampling

NAN = float("nan")
NUMBERS = ("difference", "difference_low", "difference_high", "null95", "p")
ENDS = ("highest", "lowest")
# Permutations of rows are made in parts of at most so many numbers.
PART = 4_000_000
Interval = Callable[[float], tuple[np.ndarray, np.ndarray]]


def apart(value: np.ndarray, interval: Interval, sizes: np.ndarray, null: np.ndarray) -> dict[str, Any]:
    """The largest difference among groups, its interval and its null.

    Args:
        value: (groups,) one number a group. interval: from a level to the (groups,) ends of their own intervals.
        sizes: (groups,) rows behind each.
        null: (replicates, groups) the same of groups made at random.

    Returns:
        ``difference`` between ``highest`` and ``lowest``; its ends, from the intervals of all pairs at once (Bonferroni),
        each put together from those of its two (G. Zou and A. Donner, 2008, doi 10.1002/sim.3095), so that it reaches 0
        where all may be equal; ``null95``, and the p of the pair that is furthest apart beside its own precision.
    """
    pairs = np.array(list(combinations(range(len(value)), 2)))
    first, second = pairs.T
    low, high = interval(1 - 0.05 / comb(len(value), 2))
    below, above = value - low, high - value
    difference = value[first] - value[second]
    lower = difference - np.hypot(below[first], above[second])
    upper = difference + np.hypot(above[first], below[second])
    return {
        "highest": int(value.argmax()),
        "lowest": len(value) - 1 - int(value[::-1].argmin()),  # another group where all are alike
        "difference": float(np.ptp(value)),
        "difference_low": float(max(0.0, lower.max(), (-upper).max())),
        "difference_high": float(max(upper.max(), (-lower).max())),
        "null95": float(np.quantile(np.ptp(null, axis=1), 0.95)),
        "p": resampling.share_as_large(resampling.surest(null, sizes)[0], float(resampling.surest(value, sizes)[0])),
    }


def nothing_apart() -> dict[str, Any]:
    """What stands where fewer than two groups can be compared."""
    return dict.fromkeys(NUMBERS, NAN) | dict.fromkeys(ENDS, -1)


def permuted_means(values: np.ndarray, code: np.ndarray, replicates: int, generator: np.random.Generator) -> np.ndarray:
    """(replicates, groups, k) means of (n, k) values when rows change groups at random. ``code``: (n,) groups from 0."""
    sizes = np.bincount(code)
    parts = np.array_split(np.empty(replicates), max(1, -(-replicates * len(code) * len(sizes) // PART)))
    found = []
    for part in parts:
        mixed = generator.permuted(np.tile(code, (len(part), 1)), axis=1)
        member = mixed[:, None] == np.arange(len(sizes))[:, None]
        found.append(member.astype(float) @ values / sizes[:, None])
    return np.concatenate(found)


def tables(parts: Sequence[Sequence[dict[str, Any]]], features: Sequence[Grouping]) -> dict[str, Any]:
    """(measure, feature) arrays of ``apart``, with groups numbered over all features, and p after Holm's correction."""
    starts = np.cumsum([0, *(len(f.groups) for f in features)])[:-1]
    found = {name: np.array([[part[name] for part in row] for row in parts], float) for name in NUMBERS}
    for name in ENDS:
        at = np.array([[part[name] for part in row] for row in parts], np.int64)
        found[name] = np.where(at >= 0, at + starts, -1)
    return found | {"p_holm": intervals.holm(found["p"])}


def listed(features: Sequence[Grouping]) -> dict[str, Any]:
    """A record's fields that say which groups there are: features, group, feature_of, n, unknown."""
    return {
        "features": tuple(f.name for f in features),
        "group": np.array([name for f in features for name in f.groups], str),
        "feature_of": np.repeat(np.arange(len(features)), [len(f.groups) for f in features]),
        "n": np.concatenate([f.counts() for f in features]),
        "unknown": np.array([int((f.code < 0).sum()) for f in features]),
    }
