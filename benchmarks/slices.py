"""The slice search of Adult, 48,842 people: its seconds, and pandas groupbys of the same slices beside it.

``python -m benchmarks slices``. The peer is what one would write with pandas: for every set of up to three columns a
groupby of bins, with people and errors. On both sides numbers stand in single bins there; labkit also tries runs of bins.
"""

from __future__ import annotations

import statistics
import time
from itertools import combinations

import numpy as np
import pandas as pd

import labkit as lk
from labkit.analyses._slices import search as _slices
from labkit.analyses._slices.conditions import columns, conditions

DEPTH, LEAST, BINS, ROUNDS = 3, 30, 5, 3


def people() -> tuple[lk.Predictions, lk.data.Split]:
    """All of Adult, with the answers of its reference model."""
    data, model = lk.data.load("adult"), lk.zoo.load("adult_mlp")
    x, y = (np.concatenate([getattr(part, k) for part in data]) for k in ("x", "y"))
    groups = {g: np.concatenate([part.groups[g] for part in data]) for g in data.test.groups}
    whole = lk.data.Split(x, y, data.schema, data.classes, "adult", groups)
    return lk.predict(model, whole), whole


def plain(code: np.ndarray, wrong: np.ndarray) -> tuple[int, float]:
    """Slices of enough people, and the most standard errors by which one is worse, by groupbys."""
    frame = pd.DataFrame(code).assign(wrong=wrong)
    rate, people, slices, best = wrong.mean(), len(wrong), 0, 0.0
    for size in range(1, DEPTH + 1):
        for chosen in combinations(range(code.shape[1]), size):
            found = frame.groupby(list(chosen)).wrong.agg(["size", "sum"])
            n, hits = found[(found["size"] >= LEAST) & (found["size"] <= people - LEAST)].to_numpy(float).T
            error = np.sqrt(rate * (1 - rate) * n * (people - n) / (people - 1))
            slices, best = slices + len(n), max(best, ((hits - n * rate) / error).max(initial=0))
    return slices, best


def main() -> None:
    """Print seconds of the whole analysis, and of the same search in single bins on both sides, as a ratio."""
    p, whole = people()
    lk.find_slices(p, whole, depth=1)  # imports SciPy
    start = time.perf_counter()
    record = lk.find_slices(p, whole, depth=DEPTH, least=LEAST, bins=BINS)
    seconds = time.perf_counter() - start
    seen = np.arange(len(p)) % 2 == 0
    table = columns("slices", p, whole, seen, BINS)
    chosen = conditions(table)
    single = chosen[chosen[:, 1] == chosen[:, 2]]
    code, wrong = table.code[seen], (p.label != p.y)[seen].astype(float)
    mine = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        cells = _slices.cells(code, wrong)
        ours = _slices.search(cells, single, DEPTH, LEAST)
        mine.append(time.perf_counter() - start)
    start = time.perf_counter()
    slices, best = plain(code, wrong)
    theirs = time.perf_counter() - start
    top = [_slices.held(cells.code, single[list(s)]).all(0) for s in ours.sets]
    apart = abs(best - max((cells.harm @ m) / cells.spread(cells.weight @ m) for m in top))
    own = statistics.median(mine)
    print(f"{len(p):,} people, {len(table.names)} columns, {record.conditions} conditions, up to {DEPTH} together")
    print(
        f"find_slices  {seconds:8.2f} s: searched, chosen, confirmed; {record.candidates:,} slices had people counted,"
    )
    print(
        f"             the rest ruled out by their bounds; {len(record.slice)} carried over, {record.confirmed.sum()} confirmed"
    )
    print(f"single bins  {own:8.2f} s labkit's search ({slices / own:,.0f} slices of {LEAST} people settled a second)")
    print(f"             {theirs:8.2f} s groupbys of pandas ({slices / theirs:,.0f} a second)")
    print(f"ratio        {theirs / own:8.1f} times; the worst slice's score apart by {apart:.1e}")


if __name__ == "__main__":
    main()
