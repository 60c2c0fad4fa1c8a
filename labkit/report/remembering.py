"""The plain page's sentences about what a model knows and what it remembers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from labkit.core.words import number, share, spoken
from labkit.report.people import of_100

# A rank (0 is kept first) and a sentence.
Told = list[tuple[int, str]]
NAMED = 3  # rows named in a sentence
CHANGES = 4  # settings named of a twin


def _gap(name: str, record: Any) -> Told:
    """Only a gap that is more than chance is told here."""
    _, low, _ = record.drop
    if record.metric != "accuracy" or not low > 0:
        return []
    train, test = (of_100(round(v * n), n) for v, n in ((record.train, record.n_train), (record.test, record.n_test)))
    return [(0, f"{name}: of 100 examples that it was trained on it gets {train} right, of 100 new ones {test}.")]


def _memorization(name: str, record: Any) -> Told:
    if not record.model or not record.hard:
        return []
    value, low, high = record.remembered
    if not low > 0:
        return [(1, f"{name}: no training example is seen to be remembered, of {record.hard} that would have to be.")]
    worst = record.row[record.ranked[:NAMED]]
    return [
        (
            0,
            f"{name} memorized: of {record.hard} training examples that models without them get wrong, it gives back "
            f"{record.given_back}, {share(value, low, high)} more than of such new ones. "
            f"The most memorized are training rows {', '.join(map(str, worst))}.",
        )
    ]


def _membership(name: str, record: Any) -> Told:
    """By rates where there are rows enough, else by the area: how often the right one of two is picked."""
    needs = f"an outsider who asks it and has {record.needs[record.chosen]}"
    value, low, high = record.area()
    told = f"picks the right one of a training example and another {share(value, low, high)} times"
    better = low > 0.5
    if record.least >= 0:
        wrong = float(record.fpr[record.least])
        value, low, high = (float(v[record.least]) for v in record.rates())
        if low > wrong:
            better = True
            told = (
                f"recognizes at least {share(value, low, high)} training examples, wrongly naming {share(wrong)} others"
            )
    if not better:
        text = f"{name}: no attack tried tells what it was trained on better than guessing (n = {record.members:,})."
        return [(1, text)]
    return [(0, f"{name}: {needs} {told}.")]


def _recipes(name: str, record: Any) -> Told:
    """What the twin did, of the settings that differ, in one sentence."""
    if name != record.models[0] or not record.settings:
        return []
    told = [f"{spoken(s)} {b} (not {a})" for s, a, b in zip(record.settings, record.first, record.second)]
    more = len(told) - CHANGES
    changed = ", ".join(told[:CHANGES]) + (f" and {more} more settings" if more > 0 else "")
    data = "trained on the same data" if record.same_data else "trained on other data"
    came = "".join(
        f"; {m} {number(record.score[1, j])} instead of {number(record.score[0, j])}"
        for j, m in enumerate(record.measures[:1])
    )
    return [(0, f"Its twin {record.models[1]}, {data}, did differently: {changed}{came}.")]


def _labels(name: str, record: Any) -> Told:
    value, low, high = record.floor
    if not len(record.row) or not low > 0:
        return []
    return [
        (
            1,
            f"{name}: of the training labels about {share(value, low, high)} look wrong; {len(record.row):,} are named.",
        )
    ]


def _leakage(name: str, record: Any) -> Told:
    exact = [i for i, leak in enumerate(record.leak) if leak == "exact copies"]
    if not exact or not record.hits[exact[0]] > 0 or np.isnan(record.value[exact[0]]):
        return []
    return [
        (1, f"{name}: {record.hits[exact[0]]:,.0f} of {record.n_test:,} test examples also stand in the training data.")
    ]


TELL: dict[str, Callable[[str, Any], Told]] = {
    "generalization_gap": _gap,
    "memorization": _memorization,
    "membership_inference": _membership,
    "compare_recipes": _recipes,
    "label_errors": _labels,
    "leakage": _leakage,
}
