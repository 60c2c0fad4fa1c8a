"""How far apart groups are at each budget of a robustness curve, beside groups made at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal, get_args

import numpy as np

from labkit.core import intervals, resampling
from labkit.records.robustness_curve import RobustnessCurve

LEAST = 30
# Permutations; so many more where the first make it look as if there were something, to tell how little chance gives.
REPLICATES, MORE, UNLIKELY = 1000, 10_000, 0.02
What = Literal["robust accuracy", "drop"]
WHATS: tuple[What, ...] = get_args(What)


@dataclass(frozen=True)
class Gaps:
    """What the groups by one feature differ by, at every budget above 0.

    A row *drops* where it is right without an attack and broken at the budget, so that the drop is the accuracy without
    an attack less the robust accuracy. Both are shares of a group's rows.

    Attributes:
        eps: (budget,) those above 0.
        names, n: (group,) all known groups and their rows; ranked: whether a group is large enough to be compared.
        hits: (group, budget) rows that stand, or that drop.
        difference, null95: (budget,) largest difference among the ranked groups, and what groups made at random exceed
            in 5 % of permutations; nan where fewer than two are ranked.
        low, high: (budget,) its interval, which allows for having picked the pair and the budget.
        most95: what groups made at random exceed at any budget in 5 % of permutations.
        surest, pair: the budget and the two groups (higher, lower) whose difference is largest beside its own precision.
        p: how often groups made at random have a pair as far apart at any budget; 1 where no row, or every row, has it.
    """

    feature: str
    what: What
    eps: np.ndarray
    names: np.ndarray
    n: np.ndarray
    ranked: np.ndarray
    hits: np.ndarray
    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    null95: np.ndarray
    most95: float
    surest: int
    pair: tuple[int, int]
    p: float

    @property
    def compared(self) -> bool:
        return bool(self.ranked.sum() > 1 and len(self.eps))

    @property
    def alike(self) -> bool:
        """Whether all compared rows have it, or none, at every budget: then there is nothing that could differ."""
        hits = self.hits[self.ranked].sum(0)
        return bool(((hits == 0) | (hits == self.n[self.ranked].sum())).all())


def gaps(record: RobustnessCurve, feature: str, least: int = LEAST) -> tuple[Gaps, ...]:
    """The differences between groups in robust accuracy and in drop, for groups of ``least`` rows or more."""
    names, _, n = record.by_group(feature)
    eps, ranked = record.eps[record.eps > 0], n >= max(least, 1)
    cells = _cells(record, feature, names, len(eps))
    comparable, found = ranked.sum() > 1 and len(eps) > 0, []

    @cache
    def shuffled(replicates: int) -> np.ndarray:
        stream = resampling.stream(0, "groups", feature, str(replicates))
        return resampling.permuted_tables(cells[ranked], replicates, stream)

    nothing = np.full(len(eps), np.nan)
    unknown = dict.fromkeys(("difference", "low", "high", "null95"), nothing)
    for what in WHATS:
        hits = _hits(cells, what)
        numbers: dict[str, Any] = unknown | {"most95": np.nan, "surest": -1, "pair": (-1, -1), "p": np.nan}
        if comparable:
            numbers = _compared(hits, n, ranked, partial(_permuted_hits, shuffled, what))
        found.append(Gaps(feature, what, eps, names, n, ranked, hits, **numbers))
    return tuple(found)


def _permuted_hits(shuffled: Callable[[int], np.ndarray], what: What, replicates: int) -> np.ndarray:
    return _hits(shuffled(replicates), what)


def _cells(record: RobustnessCurve, feature: str, names: np.ndarray, budgets: int) -> np.ndarray:
    """(group, 2 + budgets) rows that are wrong without an attack, and right ones by the number of budgets they stand."""
    stood = (~record.broken()[record.eps > 0]).sum(0)
    cell = np.where(record.correct, 1 + stood, 0)
    tables = [np.bincount(cell[record.groups[feature] == name], minlength=2 + budgets) for name in names]
    return np.array(tables, np.int64).reshape(len(names), 2 + budgets)


def _hits(cells: np.ndarray, what: What) -> np.ndarray:
    """(..., budgets) rows that stand at each budget, or that drop by it, from rows by the number of budgets they stand."""
    right = cells[..., 1:]
    dropped = np.cumsum(right, axis=-1)[..., :-1]
    return dropped if what == "drop" else right.sum(-1, keepdims=True) - dropped


def _compared(
    hits: np.ndarray, n: np.ndarray, ranked: np.ndarray, shuffled: Callable[[int], np.ndarray]
) -> dict[str, Any]:
    at, sizes = np.flatnonzero(ranked), n[ranked]
    values = hits[at] / sizes[:, None]
    together = hits[at].sum(0) / sizes.sum()
    spread = np.sqrt(together * (1 - together))
    scale = np.divide(1, spread, out=np.zeros(len(spread)), where=spread > 0)

    def p_value(drawn: np.ndarray) -> float:
        apart = resampling.surest(np.swapaxes(drawn, 1, 2), sizes)[0] * scale
        return resampling.share_as_large(apart.max(1), float((sure * scale).max()))

    sure, pairs = resampling.surest(values.T, sizes)
    null = shuffled(REPLICATES) / sizes[:, None]
    p, far = p_value(null), np.ptp(null, axis=1)
    ends = [intervals.largest_difference(h, sizes, 1 - 0.05 / hits.shape[1]) for h in hits[at].T]
    low, high = np.array(ends).T
    surest = int((sure * scale).argmax())
    return {
        "difference": np.ptp(values, axis=0),
        "low": low,
        "high": high,
        "null95": np.quantile(far, 0.95, axis=0),
        "most95": float(np.quantile(far.max(1), 0.95)),
        "surest": surest,
        "pair": (int(at[pairs[surest, 0]]), int(at[pairs[surest, 1]])),
        "p": p if p > UNLIKELY else p_value(shuffled(MORE) / sizes[:, None]),
    }
