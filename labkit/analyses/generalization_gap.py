"""Does a model know, or does it remember?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from labkit.analyses._gap.beside import log_losses, majority, relabelled, seen
from labkit.analyses._gap.sides import Side, between, refuse_same, side
from labkit.analyses._measure import Metric
from labkit.analyses._pairs.people import Runs, runs
from labkit.analyses._predicted import Statement, positive_class, rows_digest
from labkit.core import intervals, ledger, resampling
from labkit.core.record import Outcome
from labkit.core.refused import Refused
from labkit.metrics.accuracy import accuracy
from labkit.metrics.balanced_accuracy import balanced_accuracy
from labkit.records.generalization_gap import GeneralizationGap
from labkit.records.predict import Predictions

NAN = float("nan")
ASKED = "generalization_gap"
PARTS = {"train": "training", "validation": "validation", "test": "test"}
FEW = 30


def generalization_gap(
    train: Runs | None,
    test: Runs,
    metric: str | Metric = "accuracy",
    *,
    validation: Runs | None = None,
    positive: int | str | None = None,
    seed: int = 0,
    replicates: int = 2000,
) -> GeneralizationGap:
    """One metric on training, validation and test predictions, their gap with an interval, and what could make it lie.

    The interval is Newcombe's for a proportion and a bias-corrected bootstrap's for other metrics, rows of the two sets
    drawn apart. With several training runs each side is the mean over them, and the interval counts the spread over runs
    beside that over rows. Beside it: the share of the majority class and an exact test against it, the test rows that
    also stand in the training data, a renaming of the classes that would explain an accuracy far below chance, and by a
    ledger (``labkit.ledger``) how many models were scored on this test set. What stands beside is of the first run.

    Args:
        train, test: what one model answered on each; or lists, one entry a training run, in the same order. ``train`` may
            be None: then only the test side is measured.
        metric: a name (``labkit.names("metrics")``) or a function ``(y_true, y_pred)``, ``(y_true, y_proba)``.
        validation: answers on the data that settings were chosen on, if there are such.
        positive: the class that counts as positive, for metrics that need one.

    Raises:
        Refused: the same data twice, different classes, one class alone, runs on different rows, a metric that the
            predictions do not allow.
    """
    given = {"train": train, "validation": validation, "test": test}
    parts = {name: runs(ASKED, name, p) for name, p in given.items() if p is not None}
    if "test" not in parts:
        raise Refused(ASKED, "no test data", "predictions on rows that the model was not trained on")
    options = {"positive": positive, "replicates": replicates}
    each = {f"{name}{i or ''}": p for name, tried in parts.items() for i, p in enumerate(tried)}
    statement = Statement(ASKED, options, seed, each)
    _admit(parts)
    first = {name: tried[0] for name, tried in parts.items()}
    known, new = first.get("train"), first["test"]
    index = _index(new, positive)
    sides = {
        name: side(ASKED, metric, tried, index, replicates, resampling.stream(seed, ASKED, name))
        for name, tried in parts.items()
    }
    measure, tested = sides["test"].measures[0], sides["test"]
    method, low, high = between(sides["train"], tested) if known else ("none", NAN, NAN)
    right_low, right_high = intervals.wilson(np.sum(new.y == new.label), len(new))
    often, share, majority_p = majority(known, new)
    copied, conflicts = seen(known, new)
    unseen = (NAN, NAN, NAN)
    if copied is not None and not copied.all():
        fresh = resampling.stream(seed, ASKED, "unseen")
        unseen = measure.interval(np.flatnonzero(~copied), replicates, fresh)[:3]
    loss, prior_loss = log_losses(known, new)
    best, reason = relabelled(new)
    status: Outcome = "contradicted" if reason else "measured"
    undefined = [PARTS[name] for name, s in sides.items() if np.isnan(s.value) and name != "validation"]
    if undefined:
        status, reason = (
            "not_measured",
            f"{measure.name} is undefined on the {undefined[0]} data; it takes both classes",
        )
    scored = {name: {measure.name: float(v)} for name, v in _values(sides).items()}
    return GeneralizationGap(
        provenance=statement.provenance(scored),
        status=status,
        reason=reason,
        warnings=_warnings(parts, copied is None),
        metric=measure.name,
        better=measure.better,
        **_numbers(sides),
        gap=float(sides["train"].value) - float(tested.value) if known else NAN,
        gap_low=low,
        gap_high=high,
        method=method,
        accuracy=float(accuracy(new.y, new.label)),
        accuracy_low=float(right_low),
        accuracy_high=float(right_high),
        balanced_accuracy=float(balanced_accuracy(new.y, new.label)),
        classes=len(new.classes),
        majority_class=often,
        majority_share=share,
        majority_p=majority_p,
        duplicates=-1 if copied is None else int(copied.sum()),
        conflicts=conflicts,
        unseen=float(unseen[0]),
        unseen_low=unseen[1],
        unseen_high=unseen[2],
        log_loss=loss,
        log_loss_prior=prior_loss,
        relabelled=best,
        **_looks(new, len(parts["test"])),
    )


def _admit(parts: Mapping[str, Sequence[Predictions]]) -> None:
    test = parts["test"][0]
    if len(test.classes) < 2:
        raise Refused(ASKED, f"one class, {test.classes[0]!r}", "predictions over at least two classes")
    for name, tried in parts.items():
        if len(tried) != len(parts["test"]):
            given = f"{len(tried)} runs on {PARTS[name]} data and {len(parts['test'])} on test data"
            raise Refused(ASKED, given, "as many for each part: one a training run, in the same order")
        if tried[0].classes != test.classes:
            given = (
                f"classes {list(tried[0].classes)[:4]} in {PARTS[name]} and {list(test.classes)[:4]} in the test data"
            )
            raise Refused(ASKED, given, "predictions over the same classes in the same order")
    for one, other in combinations(parts, 2):
        refuse_same(f"{ASKED} between {PARTS[one]} and {PARTS[other]} data", parts[one][0], parts[other][0])


def _index(test: Predictions, positive: int | str | None) -> int | None:
    """The positive class; None where none is named, which metrics over all classes do not mind."""
    if positive is None and list(test.classes) not in (["0", "1"], ["False", "True"]):
        return None
    return positive_class(ASKED, test, positive)


def _values(sides: Mapping[str, Side]) -> dict[str, float]:
    """The value of each run on each part, by the names of the predictions."""
    return {f"{name}{i or ''}": v for name, s in sides.items() for i, v in enumerate(s.values)}


def _numbers(sides: Mapping[str, Side]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in PARTS:
        s = sides.get(name)
        found[f"n_{name}"] = s.n if s else 0
        found |= {name: float(s.value) if s else NAN, f"{name}_low": s.low if s else NAN}
        found |= {f"{name}_high": s.high if s else NAN, f"runs_{name}": s.values if s else np.zeros(0)}
    return found


def _looks(test: Predictions, count: int) -> dict[str, Any]:
    """By the ledger, if one is kept: how often the test rows were scored, and by how many models but for the other runs
    of this one."""
    if ledger.opened() is None:
        return {}
    found = ledger.looks(rows_digest(test))
    return {"looks": found.times, "looked_models": found.models - count + 1}


def _warnings(parts: Mapping[str, Sequence[Predictions]], unseen: bool) -> tuple[str, ...]:
    said = [w for tried in parts.values() for p in tried for w in p.warnings]
    if "train" not in parts:
        said.append("no training data: the gap, and copies of training rows among the test rows, cannot be told")
    elif unseen:
        said.append("inputs were not kept, so that copies of training rows among the test rows cannot be seen")
    for name, (p, *_) in parts.items():
        if len(p) < FEW:
            said.append(f"{len(p)} {PARTS[name]} rows: fewer than {FEW} settle nothing")
        if (p.y == p.y[0]).all():
            said.append(f"every {PARTS[name]} row is of the class {p.classes[p.y[0]]!r}")
    if parts["test"][0].proba is None:
        said.append("no probabilities, so that log loss is not measured: score= or proba= with them would do")
    return tuple(dict.fromkeys(said))
