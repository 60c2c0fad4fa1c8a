"""Tests of the tests: for each, a planted fault that it must find and a sound twin in which it must find none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import labkit as lk
from labkit.core.draws import Draws
from labkit.core.record import Provenance, Record
from labkit.records.finding import Finding
from labkit.records.predict import Predictions
from labkit.report.plan import Plan

PEOPLE = 2000


@dataclass(frozen=True)
class Control:
    """One planted fault with its sound twin.

    Attributes:
        check: the check that must find the first, and must not find the second.
        planted, sound: the records that it reads.
        what: the fault, in words.
    """

    check: str
    what: str
    planted: Callable[[], Record]
    sound: Callable[[], Record]


def run(plan: Plan) -> tuple[Finding, ...]:
    """One finding a control: "meets" when the fault was found and the twin was not."""
    return tuple(_judge(control, plan) for control in CONTROLS if control.check in lk.names("checks"))


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


def _predictions(
    y: np.ndarray, label: np.ndarray, proba: np.ndarray | None = None, **groups: np.ndarray
) -> Predictions:
    about = Provenance(analysis="controls", version=lk.__version__, data={"name": "planted", "n": len(y)})
    scores = None if proba is None else np.column_stack([1 - proba, proba])
    return Predictions(
        provenance=about,
        y=y.astype(np.int64),
        label=label.astype(np.int64),
        proba=scores,
        classes=("no", "yes"),
        groups=groups,
    )


def _selected(shares: tuple[float, float]) -> Record:
    """Two groups of which exactly these shares get the positive answer."""
    group = np.repeat(["first", "second"], PEOPLE)
    label = np.concatenate([np.arange(PEOPLE) < share * PEOPLE for share in shares])
    answers = _predictions(label, label, group=group)
    return lk.audit_groups(answers, ["selection_rate"], by=["group"], positive=1, replicates=500)


def _right(share: float, seed: int) -> Predictions:
    y = Draws(seed, PEOPLE).integers(2)
    wrong = np.arange(PEOPLE) >= share * PEOPLE
    return _predictions(y, np.where(wrong, 1 - y, y), np.where(np.where(wrong, 1 - y, y) == 1, 0.9, 0.1))


def _gap(train: float, test: float) -> Record:
    return lk.generalization_gap(_right(train, 1), _right(test, 2), "accuracy")


def _confident(true: float, said: float) -> Record:
    """A model that says ``said`` and is right in ``true`` of the cases."""
    y = (np.arange(2 * PEOPLE) < true * 2 * PEOPLE).astype(np.int64)
    return lk.calibration(_predictions(y, np.ones(2 * PEOPLE), np.full(2 * PEOPLE, said)))


CONTROLS = (
    Control(
        "four_fifths",
        "Two groups selected at 60 and at 30 in 100",
        lambda: _selected((0.6, 0.3)),
        lambda: _selected((0.45, 0.45)),
    ),
    Control(
        "disparity",
        "Two groups selected at 60 and at 30 in 100",
        lambda: _selected((0.6, 0.3)),
        lambda: _selected((0.45, 0.45)),
    ),
    Control(
        "overfitting",
        "A model right in all of its training data and in 70 of 100 new cases",
        lambda: _gap(1.0, 0.7),
        lambda: _gap(0.85, 0.85),
    ),
)
