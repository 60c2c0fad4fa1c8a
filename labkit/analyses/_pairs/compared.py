"""The difference of two models in one metric, in every group at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labkit.analyses._measure import Measure
from labkit.analyses._pairs.draws import Pair, resampled
from labkit.analyses._pairs.people import hits_of_both
from labkit.core import intervals, pairs, resampling
from labkit.metrics.auc import auc

NAN = float("nan")
# Bootstrap draws for a standard error alone.
FOR_ERROR = 400


@dataclass(frozen=True)
class Difference:
    """One metric in one group: each model's value, the difference b - a with its interval and two-sided p (nan: by draws),
    and its standard errors from rows and from runs, the latter with its variances and degrees of freedom."""

    a: float = NAN
    b: float = NAN
    low: float = NAN
    high: float = NAN
    p: float = NAN
    rows: float = NAN
    runs: float = NAN
    variances: tuple[float, ...] = ()
    freedom: tuple[float, ...] = ()

    def beyond(self, sign: int, margin: float) -> float:
        """One-sided p, over rows and runs, of the signed difference being at most the margin."""
        return pairs.welch(sign * self.size, self.variances, self.freedom, margin)[2] if self.variances else NAN

    @property
    def size(self) -> float:
        return self.b - self.a


def method(first: Measure, other: Measure) -> str:
    """How a metric's difference is judged, with one run a side."""
    if hits_of_both(first, other) is not None:
        return "Bonett and Price's interval, McNemar's exact test"
    if first.function is auc:
        return "DeLong's interval and test for paired areas"
    return "paired bootstrap, exchanged answers"


def one_run(
    first: Measure, other: Measure, cells: Sequence[np.ndarray], replicates: int, seed: int
) -> tuple[list[Difference], list[Pair]]:
    """The difference of two models in each cell of rows, and what exchanges their answers."""
    found, drawn = [], []
    hits, areas = hits_of_both(first, other), first.function is auc
    for i, rows in enumerate(cells):
        pair = Pair(first, other, rows)
        a, b = (float(v) for v in pair.value())
        drawn.append(pair)
        if np.isnan(b - a):
            found.append(Difference(a, b))
        elif hits is not None:
            found.append(_by_counts(a, b, *(h[rows] for h in hits)))
        elif areas:
            truth, score, new = first.columns["y_true"], first.columns["y_proba"], other.columns["y_proba"]
            _, low, high, p = pairs.delong(truth[rows], new[rows], score[rows])
            found.append(Difference(a, b, low, high, p, (high - low) / 3.92))
        else:
            draws = pair.bootstrap(replicates, resampling.stream(seed, "compare", first.name, str(i)))
            low, high = resampling.bias_corrected(draws, b - a)
            found.append(Difference(a, b, low, high, rows=float(np.nanstd(draws))))
    return found, drawn


def _by_counts(a: float, b: float, had: np.ndarray, has: np.ndarray) -> Difference:
    gained, lost, of = (int(np.nansum(v)) for v in (has > had, has < had, ~np.isnan(had)))
    low, high = (float(end) for end in intervals.paired(gained, lost, of))
    return Difference(a, b, low, high, float(pairs.mcnemar(np.array(gained), np.array(lost))), (high - low) / 3.92)


def several_runs(
    first: Sequence[Measure], other: Sequence[Measure], cells: Sequence[np.ndarray], seed: int
) -> list[Difference]:
    """The difference of the means over training runs in each cell, with the noise of rows and of runs.

    The spread over runs gives what training adds; a bootstrap of rows, the same for all runs, what the test data add.
    Where one side is a single run, the other side's spread stands for it.
    """
    found = []
    for i, rows in enumerate(cells):
        values = [np.array([float(m.value(rows)) for m in side]) for side in (first, other)]
        a, b = (float(v.mean()) for v in values)
        if np.isnan(b - a):
            found.append(Difference(a, b))
            continue
        over_runs, freedom = _over_runs(values)
        draws = resampled([*first, *other], rows, FOR_ERROR, resampling.stream(seed, "runs", first[0].name, str(i)))
        apart = draws[len(first) :].mean(0) - draws[: len(first)].mean(0)
        parts = (float(np.nanvar(apart)), *over_runs), (max(1.0, len(rows) - 1.0), *freedom)
        low, high, above = pairs.welch(b - a, *parts)
        p = 2 * min(above, 1 - above)
        if sum(parts[0]) == 0:
            rate = (first[0].least, first[0].most) == (0.0, 1.0)
            low, high, p = pairs.unvaried(b - a, len(rows)) if rate else (low, high, float(a == b))
        errors = parts[0][0] ** 0.5, sum(over_runs) ** 0.5
        found.append(Difference(a, b, low, high, p, *errors, *parts))
    return found


def _over_runs(values: Sequence[np.ndarray]) -> tuple[list[float], list[float]]:
    """The variance of each side's mean over its runs, and the degrees of freedom that it is known with."""
    counts = [len(v) for v in values]
    if min(counts) > 1:
        return [float(v.var(ddof=1) / len(v)) for v in values], [len(v) - 1.0 for v in values]
    spread = float(max(values, key=len).var(ddof=1))
    return [spread * sum(1 / k for k in counts)], [max(counts) - 1.0]
