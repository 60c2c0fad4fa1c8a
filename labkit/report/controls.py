"""Tests of the tests: for each, a planted fault that it must find and a sound twin in which it must find none."""

from __future__ import annotations

import numpy as np

import labkit as lk
from labkit.core.draws import Draws
from labkit.core.record import Record
from labkit.data.schema import Feature, Schema
from labkit.data.split import Dataset, Split
from labkit.records.finding import Finding
from labkit.records.predict import Predictions
from labkit.report.plan import Plan
from labkit.report.planted import PEOPLE, PLANTED, Control, predictions
from labkit.report.planted_memory import PLANTED_MEMORY


def run(plan: Plan) -> tuple[Finding, ...]:
    """One finding a control: "meets" when the fault was found and the twin was not."""
    asked = {"", *(step.analysis for step in plan.steps)}
    return tuple(_judge(c, plan) for c in CONTROLS if c.analysis in asked and c.check in lk.names("checks"))


def _judge(control: Control, plan: Plan) -> Finding:
    thresholds = {c: t for c, t in plan.thresholds.items() if c == control.check}
    seen = [
        {f.status for f in lk.check(make(), only=[control.check], thresholds=thresholds)}
        for make in (control.planted, control.sound)
    ]
    found, alarmed = ("does_not_meet" in statuses for statuses in seen)
    says = f"{control.what}: {'found' if found else 'missed'}; in its sound twin {'also found' if alarmed else 'not found'}."
    return Finding(
        check=control.check,
        status="meets" if found and not alarmed else "does_not_meet",
        says=says,
        criterion="finds the planted fault, and not its sound twin",
    )


def _right(share: float, seed: int, shared: int = 0) -> Predictions:
    """Answers of which a share is right, on rows of which so many also stand in every other such set."""
    y = Draws(seed, PEOPLE).integers(2)
    label = np.where(np.arange(PEOPLE) < share * PEOPLE, y, 1 - y)
    row = np.arange(PEOPLE, dtype=np.uint64) + np.uint64(seed * PEOPLE)
    row[:shared] = np.arange(shared)
    y[:shared] = label[:shared] = 1
    return predictions(y, label, np.where(label == 1, 0.9, 0.1), row)


def _gap(train: float, test: float, shared: int = 0) -> Record:
    return lk.generalization_gap(_right(train, 1, shared), _right(test, 2, shared), "accuracy")


def _confident(said: float, true: float) -> Record:
    """A model that always says ``said`` and is right in ``true`` of the cases."""
    y = np.arange(PEOPLE) < true * PEOPLE
    return lk.calibration(predictions(y, np.ones(PEOPLE), np.full(PEOPLE, said)), replicates=200)


def _readable(right: float, *, sum_of_terms: bool) -> Record:
    """A model that is right in a share of the cases, in a world that a sum of terms knows, or in one that none can."""

    def part(seed: int) -> Split:
        x = Draws(seed, PEOPLE).normal(2)
        y = (x[:, 0] > 0) if sum_of_terms else (x[:, 0] > 0) ^ (x[:, 1] > 0)
        return Split(x, y.astype(np.int64), schema, ("no", "yes"), "planted")

    columns = tuple(Feature(name, "numeric") for name in ("first", "second"))
    schema = Schema("tabular", "planted", (2,), features=columns)
    data = Dataset("planted", part(3), part(4))
    y = data.test.y
    label = np.where(np.arange(PEOPLE) < right * PEOPLE, y, 1 - y)
    return lk.baselines(predictions(y, label), data)


CONTROLS = (
    *PLANTED,
    *PLANTED_MEMORY,
    Control(
        "calibrated",
        "A model that says 90 in 100 and is right in 70",
        lambda: _confident(0.9, 0.7),
        lambda: _confident(0.7, 0.7),
    ),
    Control(
        "overfitting",
        "A model right in all of its training data and in 70 of 100 new cases",
        lambda: _gap(1.0, 0.7),
        lambda: _gap(0.85, 0.85),
    ),
    Control(
        "beats_majority",
        "A model that guesses",
        lambda: _gap(0.5, 0.5),
        lambda: _gap(0.85, 0.85),
    ),
    Control(
        "beats_baselines",
        "A model right in 80 of 100 cases where one that anyone can read is right in nearly all",
        lambda: _readable(0.8, sum_of_terms=True),
        lambda: _readable(0.9, sum_of_terms=False),
    ),
    Control(
        "duplicate_rows",
        "A tenth of the test data also in the training data",
        lambda: _gap(0.85, 0.85, shared=PEOPLE // 10),
        lambda: _gap(0.85, 0.85),
    ),
    Control(
        "labels_in_order",
        "Labels whose two classes are exchanged",
        lambda: _gap(0.85, 0.1),
        lambda: _gap(0.85, 0.85),
    ),
)
