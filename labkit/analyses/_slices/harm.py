"""What each person suffers under one metric: the unit that slices and cohorts count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np

from labkit.analyses._measure import Measure, Metric
from labkit.analyses._predicted import Statement, positive_class
from labkit.core import intervals, registry
from labkit.core.draws import Draws
from labkit.core.record import array_digest
from labkit.core.refused import Refused, unknown
from labkit.core.words import spoken
from labkit.records.predict import Predictions
from labkit.records.scores import Scores

Worst = Literal["high", "low"]
# Rates of which a low value is worst are told as their opposite, so that more is always worse.
OPPOSITES = {
    "accuracy": "error rate",
    "negative_predictive_value": "false omission rate",
    "precision": "false discovery rate",
    "selection_rate": "rate of those not selected",
    "true_negative_rate": "false positive rate",
    "true_positive_rate": "false negative rate",
}
BATCH, MOST_ROWS = 512, 1000
# What the options of a search may be.
RANGES = {"depth": (1, 6), "leaves": (2, 32), "least": (2, 10**9), "most": (1, 100), "bins": (2, 20)}


@dataclass(frozen=True, eq=False)
class Harm:
    """Attributes:
    name: of the rate or loss, of which more is worse.
    value: (n,) each person's; nan for those that are not in question, as negatives are not for false negatives.
    rate: whether every value is 0 or 1.
    positive: the positive class, where the metric has one.
    """

    name: str
    value: np.ndarray
    rate: bool
    positive: str = ""

    @property
    def asked_of(self) -> np.ndarray:
        """(n,) who is in question."""
        return ~np.isnan(self.value)


def suffered(
    asked: str,
    p: Predictions | Scores,
    metric: str | Metric | np.ndarray,
    positive: int | str | None,
    worst: Worst | None,
    options: dict[str, Any],
    seed: int,
) -> tuple[Statement, Harm]:
    """The statement of an analysis, and what each person suffers under a metric that is a mean over people.

    Raises:
        Refused: an option out of its range; a metric that is no mean over people, such as AUC; one of which neither end is worse, unless ``worst``
            says it; losses of another number than people, or infinite; predictions that the metric does not allow.
    """
    _in_range(asked, options)
    if worst not in (None, "high", "low"):
        raise unknown(f"{asked} with worst", str(worst), ("high", "low"))
    named = cast(str | Metric, metric) if isinstance(metric, str) or callable(metric) else None
    said = f"losses {array_digest(np.asarray(metric))}" if named is None else registry.label(named)
    options = options | {"metric": said, "worst": worst, "positive": positive}
    takes = Predictions, Scores
    statement = Statement(asked, options, seed, {"data": p}, truth=False, takes=takes)
    if named is None:
        return statement, _losses(asked, p, metric)
    if isinstance(named, str):
        named = {"error_rate": "accuracy"}.get(named.replace(" ", "_"), named.replace(" ", "_"))
    index = _index(asked, p, positive)
    measure = Measure(asked, named, p, index)
    if "y_true" in measure.columns:
        Statement(asked, {}, seed, {"data": p}, takes=takes)  # refuses predictions without truth
    if worst is None and not measure.better:
        raise Refused(f"{asked} with {measure.name}", "a metric of which neither end is worse", 'worst="high" or "low"')
    value = _each(asked, measure)
    rate = bool(np.isin(value[~np.isnan(value)], (0, 1)).all())
    label = "" if index is None or measure.labels or isinstance(p, Scores) else p.classes[index]
    if (worst or {1: "low", -1: "high"}[measure.better]) == "high":
        return statement, Harm(spoken(measure.name), value, rate, label)
    opposite = OPPOSITES.get(measure.name, f"{'1' if rate else '0'} - {spoken(measure.name)}")
    return statement, Harm(opposite, 1 - value if rate else -value, rate, label)


def _in_range(asked: str, options: dict[str, Any]) -> None:
    for name, (low, high) in RANGES.items():
        value = options.get(name, low)
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or not low <= value <= high:
            raise Refused(asked, f"{name}={value!r}", f"a whole number from {low} to {high}")
    alpha, replicates = options["alpha"], options["replicates"]
    if not 0 < alpha < 1 or replicates < 100:
        raise Refused(asked, f"alpha={alpha}, replicates={replicates}", "alpha from 0 to 1, replicates=100 or more")


def _losses(asked: str, p: Predictions | Scores, metric: Any) -> Harm:
    loss = np.asarray(metric, float)
    if loss.shape != (len(p),) or np.isinf(loss).any():
        given = f"losses of shape {loss.shape}{', some infinite' if np.isinf(loss).any() else ''}, for {len(p)} people"
        raise Refused(asked, given, "one finite loss a person, nan for those that are not in question")
    return Harm("loss", loss, bool(np.isin(loss[~np.isnan(loss)], (0, 1)).all()))


def _index(asked: str, p: Predictions | Scores, positive: int | str | None) -> int | None:
    if isinstance(p, Scores):
        return None
    if positive is None and list(p.classes) not in (["0", "1"], ["False", "True"]):
        return None
    return positive_class(asked, p, positive)


def _each(asked: str, measure: Measure) -> np.ndarray:
    """(n,) the metric of each person alone; refused unless its mean is the metric of all."""
    columns = list(measure.columns.values())
    if measure.weighs:
        parts = [_alone(measure, slice(i, i + BATCH)) for i in range(0, len(columns[0]), BATCH)]
        value = np.concatenate(parts)
    else:
        rows = np.column_stack([c.astype(float) for c in columns])
        _, first, code = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        if len(first) > MOST_ROWS:
            given = f"a function of no weight, and {len(first)} people who differ in what it reads"
            raise Refused(f"{asked} with {measure.name}", given, "an array with the loss of each person as metric=")
        value = np.array([measure.value(np.array([i])) for i in first])[code.ravel()]
    known = value[~np.isnan(value)]
    if not len(known) or not np.isclose(known.mean(), measure.value(), rtol=1e-6, atol=1e-9):
        given = "a metric that is no mean over people"
        instead = "a rate, such as accuracy or false_negative_rate; a loss such as brier; or an array of losses"
        raise Refused(f"{asked} with {measure.name}", given, instead)
    return value


def _alone(measure: Measure, rows: slice) -> np.ndarray:
    part = {name: column[rows] for name, column in measure.columns.items()}
    size = len(next(iter(part.values())))
    return np.asarray(measure.function(**part, weight=np.eye(size), **measure.options), float)


def first_half(harm: Harm, seed: int) -> np.ndarray:
    """(n,) who is in the half that is searched: half of those with each value of a rate, and of those not in question."""
    drawn = Draws(seed, len(harm.value)).spawn(1).uniform()
    kinds = np.where(harm.asked_of, np.nan_to_num(harm.value) if harm.rate else 0.0, -1.0)
    chosen = np.zeros(len(drawn), bool)
    for kind in np.unique(kinds):
        rows = np.flatnonzero(kinds == kind)
        chosen[rows[np.argsort(drawn[rows], kind="stable")[: len(rows) // 2]]] = True
    return chosen


def interval(harm: Harm, value: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Of the mean of some people's values: Wilson's for a rate, Student's for a loss."""
    if not harm.rate:
        return intervals.mean(value, level)
    low, high = intervals.wilson(value.sum(), len(value), level)
    return float(low), float(high)


def difference(harm: Harm, value: np.ndarray, other: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Interval for the mean of some people's values minus that of others: Newcombe's for a rate, Welch's for a loss
    (Welch, 1947, doi 10.1093/biomet/34.1-2.28); nan for fewer than two."""
    if harm.rate:
        low, high = intervals.newcombe(value.sum(), len(value), other.sum(), len(other), level)
        return float(low), float(high)
    if min(len(value), len(other)) < 2:
        return float("nan"), float("nan")
    from scipy.special import stdtrit

    a, b = (v.var(ddof=1) / len(v) for v in (value, other))
    freedom = (a + b) ** 2 / max(a**2 / (len(value) - 1) + b**2 / (len(other) - 1), 1e-300)
    half = float(stdtrit(max(freedom, 1.0), 0.5 + level / 2)) * np.sqrt(a + b)
    middle = value.mean() - other.mean()
    return float(middle - half), float(middle + half)
