"""What parts of people show when what each suffers is dealt to them at random, and tests of what they do show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from labkit.analyses._slices.harm import Harm
from labkit.core import resampling

PART = 4_000_000


@dataclass(frozen=True, eq=False)
class Chance:
    """Attributes:
    each: (parts,) p of one side of each part alone, by permutation; 1 where nobody is in it.
    reach: (parts,) the mean that the worst of all parts, in its standard errors, exceeds in 5 % of permutations.
    worst: p of the worst part among all of them; nan without any.
    """

    each: np.ndarray
    reach: np.ndarray
    worst: float


def by_chance(
    harm: Harm, members: np.ndarray, value: np.ndarray, replicates: int, generator: np.random.Generator
) -> Chance:
    """Parts of people as (parts, n) members, beside permutations of (n,) what each suffers."""
    if not len(members):
        return Chance(np.zeros(0), np.zeros(0), float("nan"))
    n, people = members.sum(1), len(value)
    spread = np.sqrt(value.var() * n * (people - n) / max(people - 1, 1))
    scale = np.where(spread > 0, spread, np.inf)
    away = members @ (value - value.mean()) / scale
    null = (_dealt(harm, members, value, replicates, generator) - n * value.mean()) / scale
    worst = null.max(1)
    each = np.array([resampling.share_as_large(*v) for v in zip(null.T, away)])
    reach = value.mean() + np.quantile(worst, 0.95) * spread / np.maximum(n, 1)
    return Chance(np.where(n > 0, each, 1.0), reach, resampling.share_as_large(worst, float(away.max())))


def _dealt(
    harm: Harm, members: np.ndarray, value: np.ndarray, replicates: int, generator: np.random.Generator
) -> np.ndarray:
    """(replicates, parts): the sum over each part when what people suffer is dealt to them at random."""
    if harm.rate:
        kinds, code = np.unique(members.T, axis=0, return_inverse=True)
        size = np.bincount(code.ravel(), minlength=len(kinds))
        hits = np.bincount(code.ravel(), value, len(kinds))
        table = np.column_stack([hits, size - hits]).astype(np.int64)
        return resampling.permuted_tables(table, replicates, generator)[:, :, 0] @ kinds
    return np.concatenate([dealt @ members.T for dealt in permutations(value, replicates, generator)])


def permutations(value: np.ndarray, replicates: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """(some, n) at a time, ``replicates`` in all: the values in random order."""
    batch = max(1, PART // len(value))
    for done in range(0, replicates, batch):
        yield generator.permuted(np.tile(value, (min(batch, replicates - done), 1)), axis=1)


def worse(members: np.ndarray, value: np.ndarray) -> np.ndarray:
    """(parts,) the share of all ways to deal the harmed that deal at least as many to the part (Fisher, one side)."""
    from scipy.stats import hypergeom

    return hypergeom.sf(members @ value - 1, len(value), int(value.sum()), members.sum(1))


def apart(harm: Harm, value: np.ndarray, first: np.ndarray, replicates: int, generator: np.random.Generator) -> float:
    """p of two sides that some people (mask ``first``) suffer as the others: Fisher's exact test, or permutations."""
    n = np.array([first.sum(), (~first).sum()])
    if not n.all():
        return 1.0
    if harm.rate:
        return resampling.exact_difference(np.array([value[first].sum(), value[~first].sum()]), n)
    middle = value.mean()
    null = np.concatenate([v @ first for v in permutations(value, replicates, generator)]) - n[0] * middle
    return resampling.share_as_large(np.abs(null), abs(float(value[first].sum() - n[0] * middle)))


def mean_of(value: np.ndarray) -> float:
    """The mean; nan of nobody."""
    return float(value.mean()) if len(value) else float("nan")
