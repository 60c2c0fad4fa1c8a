"""Planted faults in what answers do to groups of people, each with a sound twin: small worlds whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

import labkit as lk
from labkit.core.draws import Draws
from labkit.core.record import Provenance, Record
from labkit.data.schema import Feature, Schema
from labkit.data.split import Split
from labkit.records.predict import Predictions

PEOPLE = 2000
CLASSES = ("no", "yes")


@dataclass(frozen=True)
class Control:
    """One planted fault with its sound twin.

    Attributes:
        check: the check that must find the first, and must not find the second.
        what: the fault, in words.
        planted, sound: the records that it reads.
        analysis: it is run where a step of the plan has this analysis; always for "".
    """

    check: str
    what: str
    planted: Callable[[], Record]
    sound: Callable[[], Record]
    analysis: str = ""


def predictions(
    y: np.ndarray,
    label: np.ndarray,
    proba: np.ndarray | None = None,
    row: np.ndarray | None = None,
    **groups: np.ndarray,
) -> Predictions:
    """Answers to two classes. ``proba`` is that of the second."""
    return Predictions(
        provenance=Provenance(analysis="controls", version=lk.__version__, data={"name": "planted", "n": len(y)}),
        y=y.astype(np.int64),
        label=label.astype(np.int64),
        proba=None if proba is None else np.column_stack([1 - proba, proba]),
        classes=CLASSES,
        groups=groups,
        row=row,
    )


def selected(first: float, second: float) -> Record:
    """Two groups of which exactly these shares get the positive answer."""
    group = np.repeat(["first", "second"], PEOPLE)
    label = np.concatenate([np.arange(PEOPLE) < share * PEOPLE for share in (first, second)])
    return lk.audit_groups(
        predictions(label, label, group=group), ["selection_rate"], by=["group"], positive=1, replicates=500
    )


def _groups() -> np.ndarray:
    return np.where(np.arange(PEOPLE) % 2 == 0, "first", "second")


def _people(group: np.ndarray, columns: int, name: str) -> Split:
    """People with a column of their group, drawn numbers, and a fair coin for a label."""
    draws = Draws(11, PEOPLE)
    x = np.column_stack([group == "second", draws.normal(columns)]).astype(np.float32)
    numbers = [Feature(f"column {i}", "numeric") for i in range(columns)]
    features = (Feature(name, "categorical", categories=("first", "second")), *numbers)
    schema = Schema("tabular", "planted", (columns + 1,), features=features)
    return Split(x, draws.integers(2), schema, CLASSES, "planted", {"group": group})


def _right(of_first: float, of_second: float) -> Record:
    """Two groups in whom these shares of answers are right, of both classes alike."""
    group, at = _groups(), np.arange(PEOPLE) // 4
    share = np.where(group == "first", of_first, of_second)
    y = np.arange(PEOPLE) // 2 % 2
    label = np.where(at % 100 < 100 * share, y, 1 - y)
    metrics = ["true_positive_rate", "false_positive_rate", "accuracy"]
    return lk.audit_groups(predictions(y, label, group=group), metrics, by=["group"], positive=1, replicates=500)


def _worse(where: float) -> Record:
    """One answer in ten is wrong, and of the people in one fifth of the first column's range so many."""
    people = _people(_groups(), 2, "group")
    tail, lot = people.x[:, 1] > 0.84, Draws(12, PEOPLE).uniform(1)[:, 0]
    y = np.asarray(people.y)
    label = np.where(lot < np.where(tail, where, 0.1), 1 - y, y)
    return lk.find_slices(predictions(y, label, group=people.groups["group"]), people, depth=1, replicates=200)


def _given(more: float) -> Record:
    """Two groups of unlike experience, which decides; one is selected so much more often at equal experience."""
    group, lots = _groups(), Draws(13, PEOPLE).uniform(2)
    long = lots[:, 0] < np.where(group == "first", 0.7, 0.3)
    label = lots[:, 1] < np.where(long, 0.6, 0.2) + more * (group == "first")
    p = predictions(label, label, group=group, experience=np.where(long, "long", "short"))
    return lk.conditional_parity(p, "group", ["experience"], positive=1, replicates=500)


def _labelled(first: float, second: float) -> Record:
    """Two groups of whom these shares have the positive label."""
    share = np.where(_groups() == "first", first, second)
    y = np.arange(PEOPLE) // 2 % 100 < 100 * share
    return lk.data_bias(predictions(y, y, group=_groups()), ["group"], positive=1, replicates=500)


def _told(much: float) -> Record:
    """A column that says so much of the group, in standard deviations."""
    people = _people(_groups(), 2, "group")[:600]
    x = people.x.copy()
    x[:, 1] += much * x[:, 0]
    part = Split(x, people.y, people.schema, CLASSES, "planted", people.groups)
    return lk.proxies(part, "group", folds=3, permutations=5)


def _reads(weight: float) -> Record:
    """A linear model of which the group's own column has this weight."""
    import torch

    module = torch.nn.Linear(3, 2)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[0.0, 0, 0], [weight, 2, 1]]))
        module.bias.zero_()
    people = _people(_groups(), 2, "group")
    return lk.flip_test(lk.wrap(module, classes=CLASSES, name="planted"), people, "group", positive=1)


def _moved(by: float) -> Record:
    """Scores that know something of the truth, and are so much higher for one group at equal truth."""
    group, draws = _groups(), Draws(14, PEOPLE)
    y, noise = draws.integers(2), draws.normal(1)[:, 0]
    score = 1 / (1 + np.exp(-(2.0 * y - 1 + noise + by * np.where(group == "first", 1, -1))))
    return lk.mitigate(predictions(y, score > 0.5, score, group=group), None, "group", "group_thresholds", positive=1)


_UNEQUAL = "Two groups selected at 60 and at 30 in 100"
_ERRORS = "Two groups in whom 90 and 60 of 100 answers are right"
PLANTED = (
    Control("four_fifths", _UNEQUAL, partial(selected, 0.6, 0.3), partial(selected, 0.45, 0.45)),
    Control("disparity", _UNEQUAL, partial(selected, 0.6, 0.3), partial(selected, 0.45, 0.45)),
    Control("equalized_odds", _ERRORS, partial(_right, 0.9, 0.6), partial(_right, 0.75, 0.75), "audit_groups"),
    Control("worst_group", _ERRORS, partial(_right, 0.9, 0.6), partial(_right, 0.75, 0.75), "audit_groups"),
    Control(
        "worse_slices",
        "A fifth of the people in whom half of the answers are wrong, and one in ten elsewhere",
        partial(_worse, 0.5),
        partial(_worse, 0.1),
        "find_slices",
    ),
    Control(
        "conditional_disparity",
        "A group selected 30 points more often at equal experience; in the twin only experience differs",
        partial(_given, 0.3),
        partial(_given, 0.0),
        "conditional_parity",
    ),
    Control(
        "even_data",
        "Two groups of whom 60 and 30 in 100 have the positive label",
        partial(_labelled, 0.6, 0.3),
        partial(_labelled, 0.45, 0.45),
        "data_bias",
    ),
    Control(
        "proxied_groups",
        "A column that lies two standard deviations apart in two groups",
        partial(_told, 2.0),
        partial(_told, 0.0),
        "proxies",
    ),
    Control(
        "unmoved_by_group", "A model that reads the group", partial(_reads, 1.5), partial(_reads, 0.0), "flip_test"
    ),
    Control(
        "less_discriminatory",
        "Scores raised for one group at equal truth, which thresholds can undo",
        partial(_moved, 0.6),
        partial(_moved, 0.0),
        "mitigate",
    ),
)
