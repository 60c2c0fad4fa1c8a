"""What people suffer by the bins of any two columns, with the worst cell of each two beside permutations."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from labkit.analyses._slices.chance import permutations
from labkit.analyses._slices.conditions import Columns
from labkit.analyses._slices.harm import Harm
from labkit.core import progress, resampling


def pairs_of_columns(
    table: Columns, harm: Harm, least: int, replicates: int, generator: np.random.Generator
) -> dict[str, Any]:
    """The fields of ``Cohorts`` from ``bin`` on. All pairs see the same permutations, so that the worst of all is known."""
    rows = np.flatnonzero(harm.asked_of)
    value = harm.value[rows]
    bins, bin_column, names = _bins(table, rows)
    size, people = len(names), len(rows)
    pairs = np.array(list(combinations(range(len(table.names)), 2)), np.int64).reshape(-1, 2)
    count, total = np.zeros((size, size), np.int64), np.zeros((size, size))
    for i, j in [*pairs, *([c, c] for c in range(len(table.names)))]:
        known = (bins[:, i] >= 0) & (bins[:, j] >= 0)
        place = bins[known, i] * size + bins[known, j]
        count += np.bincount(place, minlength=size**2).reshape(size, size)
        total += np.bincount(place, value[known], size**2).reshape(size, size)
    cell_first, cell_second = np.nonzero(np.triu(count, 1) >= least)
    of_pair = {tuple(pair): k for k, pair in enumerate(pairs.tolist())}
    pair = np.array(
        [of_pair[c] for c in zip(bin_column[cell_first].tolist(), bin_column[cell_second].tolist())], np.int64
    )
    order = np.argsort(pair, kind="stable")
    cell_first, cell_second, pair = cell_first[order], cell_second[order], pair[order]
    n = count[cell_first, cell_second]
    spread = np.sqrt(value.var() * n * (people - n) / max(people - 1, 1)) if people else np.zeros(0)
    scale, middle = np.where(spread > 0, spread, np.inf), value.mean() if people else 0.0
    away = (total[cell_first, cell_second] - n * middle) / scale
    null = _dealt(bins, pairs, cell_first, cell_second, size, value, replicates, generator)
    compared, starts = np.unique(pair, return_index=True)
    found: dict[str, Any] = {k: np.full(len(pairs), -1) for k in ("worst_first", "worst_second")}
    found |= {k: np.full(len(pairs), np.nan) for k in ("score", "cell95", "p_cell", "p_any")}
    most = np.maximum.reduceat((null - n * middle) / scale, starts, axis=1) if len(pair) else np.zeros((replicates, 0))
    for at, k in enumerate(compared):
        cells = np.flatnonzero(pair == k)
        top = cells[away[cells].argmax()]
        found["worst_first"][k], found["worst_second"][k] = cell_first[top], cell_second[top]
        found["score"][k] = away[top]
        found["cell95"][k] = middle + np.quantile(most[:, at], 0.95) * spread[top] / n[top]
        found["p_cell"][k] = resampling.share_as_large(most[:, at], float(away[top]))
        found["p_any"][k] = resampling.share_as_large(most.max(1), float(away[top]))
    return found | {
        "bin": names,
        "bin_column": bin_column,
        "people": np.triu(count) + np.triu(count, 1).T,
        "harm": np.triu(total) + np.triu(total, 1).T,
        "first": pairs[:, 0],
        "second": pairs[:, 1],
    }


def _bins(table: Columns, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """(n, columns) each person's bin among those of all columns that hold anybody, -1 where unknown; each bin's column
    and name."""
    starts = np.cumsum([0, *map(len, table.bins)])
    code = table.code[rows]
    place = np.where(code >= 0, code + starts[:-1], -1)
    there = np.unique(place[place >= 0])
    names = [name for names in table.bins for name in names]
    bins = np.where(place >= 0, np.searchsorted(there, place), -1)
    return bins, np.searchsorted(starts, there, side="right") - 1, tuple(names[k] for k in there)


def _dealt(
    bins: np.ndarray,
    pairs: np.ndarray,
    cell_first: np.ndarray,
    cell_second: np.ndarray,
    size: int,
    value: np.ndarray,
    replicates: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """(replicates, cells): the sum over each cell of two columns when what people suffer is dealt to them at random."""
    from scipy.sparse import csr_array

    cell = np.full((size + 1, size + 1), -1)  # the last row and column are for people of unknown bins
    cell[cell_first, cell_second] = np.arange(len(cell_first))
    place = cell[bins[:, pairs[:, 0]], bins[:, pairs[:, 1]]]
    person, pair = np.nonzero(place >= 0)
    held = csr_array((np.ones(len(person)), (place[person, pair], person)), (len(cell_first), len(value)))
    dealt: list[np.ndarray] = []
    for part in permutations(value, replicates, generator) if len(cell_first) else ():
        progress.step("permutations of the cells", sum(len(d) for d in dealt), replicates)
        dealt.append((held @ part.T).T)
    return np.concatenate(dealt) if dealt else np.zeros((replicates, 0))
