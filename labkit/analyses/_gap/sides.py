"""What one side of a gap scores: training, validation or test data, by one training run or by several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labkit.analyses._measure import Measure, Metric
from labkit.analyses._pairs.draws import resampled
from labkit.analyses._pairs.people import same_people
from labkit.core import intervals, pairs, resampling
from labkit.core.refused import Refused
from labkit.records.predict import Predictions

NAN = float("nan")


@dataclass(frozen=True)
class Side:
    """A metric on one part of the data.

    Attributes:
        measures: one a training run. values: (run,) of each.
        value, low, high: the mean over the runs, with its interval: over rows, and with several runs over those too.
        draws: (replicates,) of the value on rows drawn with replacement; None where an interval takes none.
    """

    measures: Sequence[Measure]
    values: np.ndarray
    value: float
    low: float
    high: float
    draws: np.ndarray | None
    n: int


def side(
    asked: str,
    metric: str | Metric,
    tried: Sequence[Predictions],
    positive: int | None,
    replicates: int,
    generator: np.random.Generator,
) -> Side:
    """The metric of each run on the same rows. Refused where the runs' rows differ."""
    for p in tried[1:]:
        same_people(f"{asked} of several training runs", tried[0], p)
    measures, n = [Measure(asked, metric, p, positive) for p in tried], len(tried[0])
    rows = np.arange(n)
    if len(measures) == 1:
        value, low, high, draws = measures[0].interval(rows, replicates, generator)
        return Side(measures, np.array([float(value)]), value, low, high, draws, n)
    values = np.array([float(m.value()) for m in measures])
    draws = resampled(measures, rows, replicates, generator).mean(0)
    if not np.nanvar(draws) and not _spread(values):  # all runs are right on all rows: only their number tells how sure
        _, low, high, _ = measures[0].interval(rows, replicates, generator)
        return Side(measures, values, float(values.mean()), low, high, draws, n)
    low, high, _ = pairs.welch(values.mean(), (np.nanvar(draws), _spread(values)), (n - 1, len(values) - 1))
    least, most = measures[0].least, measures[0].most
    return Side(measures, values, float(values.mean()), max(low, least), min(high, most), draws, n)


def between(train: Side, test: Side) -> tuple[str, float, float]:
    """How train minus test is known, and the ends of its interval."""
    fit, new = train.value, test.value
    if len(train.values) > 1:
        drawn = [float(np.nanvar(s.draws)) for s in (train, test) if s.draws is not None]
        parts = (*drawn, _spread(train.values - test.values)), (train.n - 1, test.n - 1, len(train.values) - 1)
        return "rows and runs", *pairs.welch(fit - new, *parts)[:2]
    if isinstance(fit, intervals.Rate) and isinstance(new, intervals.Rate):
        low, high = intervals.newcombe(fit.hits, fit.of, new.hits, new.of)
        return "Newcombe", float(low), float(high)
    if train.draws is not None and test.draws is not None:
        return "bootstrap", *resampling.bias_corrected(train.draws - test.draws, float(fit) - float(new))
    return "none", NAN, NAN


def _spread(values: np.ndarray) -> float:
    """The variance of the mean over runs."""
    return float(values.var(ddof=1) / len(values))


def refuse_same(asked: str, one: Predictions, other: Predictions) -> None:
    """Refuse the same data as two parts."""
    instead = "predictions on data that the model was not trained on"
    if one is other:
        raise Refused(asked, "the same predictions twice", instead)
    if len(one) != len(other):
        return
    if one.row is not None and other.row is not None:
        same = np.array_equal(np.sort(one.row), np.sort(other.row))
    else:
        same = np.array_equal(one.y, other.y) and np.array_equal(one.label, other.label) and len(one) >= 30
    if same:
        raise Refused(asked, f"the same {len(other)} rows twice", instead)
