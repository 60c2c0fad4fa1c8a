"""The search for slices: which conjunctions of conditions hold people who are worse off than the rest.

Level by level, from sums over the different rows as matrix products, with the bounds of SliceLine (Sagadeeva and Boehm,
2021, doi 10.1145/3448016.3457323) on the size and the score of whatever is narrower.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from labkit.analyses._slices.conditions import held
from labkit.core import progress

# Standard errors by which a slice is worse, from which it is carried over.
FLOOR = 2.5
# Slices of each level among which those that are told are chosen; searches; multiply-adds of a level; numbers of a part.
POOL, ROUNDS, WORK, PART = 300, 4, 3e11, 4_000_000


@dataclass(frozen=True, eq=False)
class Cells:
    """The different rows of bins, and what the people in each suffer.

    Attributes:
        code: (cells, columns). weight: people. harm, squares: sums of what they suffer and of its squares, both beside the
            mean of all. excess: the sum of what is above the mean. most: the largest excess of one person.
        of: (n,) each person's cell.
    """

    code: np.ndarray
    weight: np.ndarray
    harm: np.ndarray
    squares: np.ndarray
    excess: np.ndarray
    most: float
    of: np.ndarray

    @property
    def people(self) -> float:
        return float(self.weight.sum())

    def spread(self, n: np.ndarray) -> np.ndarray:
        """The standard deviation of the sum over n people drawn from all without replacement."""
        people = self.people
        return np.sqrt(self.squares.sum() / people * n * (people - n) / (people - 1))


def cells(code: np.ndarray, value: np.ndarray) -> Cells:
    """People by their row of bins, from (n, columns) bins and (n,) harms."""
    rows, of = np.unique(code, axis=0, return_inverse=True)
    of, away = of.ravel(), value - value.mean()
    n, harm, squares, excess = (np.bincount(of, v, len(rows)) for v in (away**0, away, away**2, np.maximum(away, 0)))
    return Cells(rows, n, harm, squares, excess, float(away.max()), of)


@dataclass(frozen=True, eq=False)
class Level:
    """Sets of as many conditions each: (m, conditions) positions in ascending order, their people, harm, excess."""

    sets: np.ndarray
    n: np.ndarray
    harm: np.ndarray
    excess: np.ndarray

    def __getitem__(self, rows: np.ndarray | slice) -> Level:
        return Level(self.sets[rows], self.n[rows], self.harm[rows], self.excess[rows])

    def best(self, score: np.ndarray, most: float) -> Level:
        order = np.argsort(-score, kind="stable")
        return self[order[: int(min(most, len(order)))]]


@dataclass(frozen=True, eq=False)
class Searched:
    """Attributes:
    sets: slices, each as positions of conditions.
    candidates: how many had their people counted.
    exhaustive: whether none that could be better was left out.
    needed: standard errors above which no slice was passed over.
    """

    sets: list[tuple[int, ...]]
    candidates: int
    exhaustive: bool
    needed: float


def find(code: np.ndarray, value: np.ndarray, chosen: np.ndarray, depth: int, least: int, most: int) -> Searched:
    """The slices that are told: one after the other the one that is worst beyond what those before it explain.

    What they explain is the mean of all who are in the same of them. So neither the same people in other words are told
    again, nor a narrower slice that is no worse than the wider one, nor a wider one that is bad for its worst part alone.
    Where the best of what a search kept no longer stand out, what is left is searched anew.

    Args:
        code: (n, columns) bins. value: (n,) harms. chosen: (conditions, 3).
    """
    found = cells(code, value)
    stratum, told = np.zeros(len(found.weight), np.int64), list[tuple[int, ...]]()
    searched = first = search(found, chosen, depth, least)
    for _ in range(ROUNDS):
        before = len(told)
        told, stratum = _choose(found, chosen, searched, most, told, stratum)
        if len(told) in (before, most) or searched.needed <= FLOOR:
            break
        n, harm = (np.bincount(stratum, v) for v in (found.weight, found.harm))
        searched = search(cells(code, value - (harm / n)[stratum][found.of]), chosen, depth, least)
    return Searched(told, first.candidates, first.exhaustive, searched.needed)


def search(found: Cells, chosen: np.ndarray, depth: int, least: int) -> Searched:
    """Every conjunction of up to ``depth`` conditions (a column each) with ``least`` people inside and outside.

    A slice with the same people as a wider one, or no worse than it, is not taken up; one that no narrower slice can lift
    among the best is not narrowed. Where a level would take too long its most promising slices alone are narrowed.
    """
    holds = held(found.code, chosen).astype(np.float32)
    sums = np.column_stack([found.weight, found.harm, found.excess]).astype(np.float32)
    n, harm, excess = (holds @ sums).T.astype(float)
    single = Level(np.arange(len(chosen))[:, None], n, harm, excess)
    fit = (n >= least) & (found.people - n >= least)
    parents, counted, whole = single[fit], int(fit.sum()), True
    best = [_pool(found, parents)]
    for size in range(2, depth + 1):
        bound = _bound(found, parents, least)
        affordable = WORK / max(1, holds.size)
        whole &= bool((bound >= FLOOR).sum() <= affordable)
        parents = parents[bound >= FLOOR].best(bound[bound >= FLOOR], affordable)
        kept, pool, threshold = [], _nothing(size), FLOOR
        for done, part in _parts(parents, holds.shape[1], f"slices of {size} conditions"):
            if size == depth and _bound(found, parents[done:][:1], least).max() < threshold:
                break
            level, tried = _narrowed(found, part, single, chosen[:, 0], holds, sums, least)
            counted += tried
            pool = _pool(found, _joined([pool, level]))
            threshold = _least(found, pool)
            if size < depth:
                kept.append(level[_bound(found, level, least) >= FLOOR])
        parents = _joined([_nothing(size), *kept])
        best.append(pool)
    sets = [tuple(int(v) for v in row) for pool in best for row in pool.sets]
    return Searched(sets, counted, whole, max(_least(found, pool) for pool in best))


def _score(found: Cells, level: Level) -> np.ndarray:
    return level.harm / found.spread(level.n)


def _bound(found: Cells, level: Level, least: int) -> np.ndarray:
    """The highest score of a slice within: all its excess on as few people as can have it."""
    fewest = np.minimum(np.maximum(least, level.excess / found.most), level.n)
    return level.excess / np.minimum(found.spread(fewest), found.spread(level.n))


def _pool(found: Cells, level: Level) -> Level:
    score = _score(found, level)
    return level[score >= FLOOR].best(score[score >= FLOOR], POOL)


def _least(found: Cells, pool: Level) -> float:
    """The score above which nothing was left out of a pool."""
    return float(_score(found, pool).min()) if len(pool.n) == POOL else FLOOR


def _nothing(size: int) -> Level:
    return Level(np.zeros((0, size), np.int64), np.zeros(0), np.zeros(0), np.zeros(0))


def _joined(levels: list[Level]) -> Level:
    parts = [np.concatenate([getattr(v, k) for v in levels]) for k in ("sets", "n", "harm", "excess")]
    return Level(*parts)


def _parts(level: Level, width: int, what: str) -> Iterator[tuple[int, Level]]:
    size = max(1, PART // width)
    for done in range(0, len(level.n), size):
        progress.step(what, done, len(level.n))
        yield done, level[np.arange(done, min(done + size, len(level.n)))]


def _narrowed(
    found: Cells,
    parents: Level,
    single: Level,
    column: np.ndarray,
    holds: np.ndarray,
    sums: np.ndarray,
    least: int,
) -> tuple[Level, int]:
    """The parents with one condition more, each set once; and how many there were of enough people."""
    last = parents.sets[:, -1]
    inside = holds[parents.sets].prod(1)
    n = ((inside * sums[:, 0]) @ holds.T).astype(float)
    later = column[None] > column[last][:, None]
    fit = later & (n >= least) & (found.people - n >= least)
    tried = int(fit.sum())
    fit &= (n < parents.n[:, None]) & (n < single.n[None])
    row, condition = np.nonzero(fit)
    harm, excess = ((((inside * sums[:, k]) @ holds.T)[row, condition]).astype(float) for k in (1, 2))
    sets = np.column_stack([parents.sets[row], condition])
    return Level(sets, n[row, condition], harm, excess), tried


def _choose(
    found: Cells, chosen: np.ndarray, searched: Searched, most: int, told: list[tuple[int, ...]], stratum: np.ndarray
) -> tuple[list[tuple[int, ...]], np.ndarray]:
    """More slices that are told, and each cell's stratum by them."""
    sets, told = searched.sets, list(told)
    masks = np.array([_inside(found, chosen, s) for s in sets], bool).reshape(len(sets), len(found.weight))
    while len(told) < most and len(sets):
        score = _beyond(found, masks, stratum)
        best = int(score.argmax())
        if score[best] < FLOOR or (told and score[best] < searched.needed):
            break
        picked = _widest(found, chosen, sets[best], stratum)
        told.append(picked)
        stratum = np.unique(2 * stratum + _inside(found, chosen, picked), return_inverse=True)[1]
    return told, stratum


def _inside(found: Cells, chosen: np.ndarray, conditions: tuple[int, ...]) -> np.ndarray:
    return np.asarray(held(found.code, chosen[list(conditions)]).all(0))


def _widest(found: Cells, chosen: np.ndarray, conditions: tuple[int, ...], stratum: np.ndarray) -> tuple[int, ...]:
    """The slice without those of its conditions that do not make it stand out more."""
    while len(conditions) > 1:
        wider = [tuple(c for c in conditions if c != left) for left in conditions]
        masks = np.array([_inside(found, chosen, s) for s in (conditions, *wider)])
        score = _beyond(found, masks, stratum)
        if score[1:].max() < score[0]:
            break
        conditions = wider[int(score[1:].argmax())]
    return conditions


def _beyond(found: Cells, masks: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """(m,) standard errors by which each mask's people are worse off than others of their stratum.

    0 where a mask is made of whole strata, or does not stand out from all.
    """
    order = np.argsort(stratum, kind="stable")
    starts = np.flatnonzero(np.diff(stratum[order], prepend=-1))
    n, harm, squares = (np.bincount(stratum, v) for v in (found.weight, found.harm, found.squares))
    variance = np.maximum(squares / n - (harm / n) ** 2, 0) / np.maximum(n - 1, 1)
    residual = (found.harm - found.weight * (harm / n)[stratum]).astype(float)
    score = np.zeros(len(masks))
    size = max(1, PART // masks.shape[1])
    for i in range(0, len(masks), size):
        part = masks[i : i + size]
        inside = np.add.reduceat(part[:, order] * found.weight[order], starts, axis=1)
        away = (variance * inside * (n - inside)).sum(1)
        total = part @ residual
        worse = (part @ found.harm >= FLOOR * found.spread(part @ found.weight)) & (away > 1e-9)
        score[i : i + size] = np.where(worse, total / np.sqrt(np.where(worse, away, 1)), 0)
    return score
