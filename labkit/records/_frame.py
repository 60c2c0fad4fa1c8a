"""Predictions and scores out of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import labkit
from labkit.core.intervals import wilson
from labkit.core.record import Provenance, array_digest
from labkit.core.refused import Refused
from labkit.records import _cells
from labkit.records._cells import merge_spellings
from labkit.records.predict import Predictions
from labkit.records.scores import Scores

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Tally", "merge_spellings", "predictions_from_frame", "require_request", "scores_from_frame"]


@dataclass(frozen=True)
class Tally:
    """That each row of a table stands for several people.

    Attributes:
        count: (n,) how many.
        decided: (n,) whether the score was at or above the threshold, before it was rounded; None where labels are
            given.
        said: what was done to the rows, in words.
    """

    count: np.ndarray
    decided: np.ndarray | None = None
    said: tuple[str, ...] = ()


def predictions_from_frame(
    frame: pd.DataFrame,
    *,
    y: str | None,
    label: str | None,
    score: str | None,
    proba: Sequence[str] | None,
    groups: Sequence[str] | Mapping[str, Any],
    classes: Sequence[Any] | None,
    threshold: float | None,
    name: str,
    tally: Tally | None = None,
) -> Predictions:
    """See ``Predictions.from_frame``. With a ``tally`` each row stands for so many people, and equal rows become one."""
    asked = f"predictions from the table {name}"
    frame = _cells.as_table(frame, asked)
    columns = require_request(asked, y, label, score, proba, groups, classes, threshold)
    _cells.require_columns(frame, columns, name)
    people = None if tally is None else tally.count
    members, said = _cells.group_columns(frame, groups, asked, people)
    cells = {c: _cells.coded(frame[c], asked) for c in dict.fromkeys((y, label)) if c is not None}
    for column, (code, _) in cells.items():
        _cells.require_present(code < 0, column, members, people, asked)
    speaks = y if y is not None else label
    names = _cells.class_labels(cells[speaks][1] if speaks is not None else [0, 1], classes, str(speaks), asked)
    target = np.full(len(frame), -1) if y is None else _cells.class_codes(*cells[y], names, y, asked)
    scores = _scores(frame, score, proba, len(names), people, asked)
    if label is not None:
        predicted = _cells.class_codes(*cells[label], names, label, asked)
    elif tally is not None and tally.decided is not None:
        predicted = tally.decided.astype(np.int64)
    elif score is not None and scores is not None:
        predicted = (scores[:, 1] >= threshold).astype(np.int64)
    else:
        predicted = scores.argmax(1)  # type: ignore[union-attr]
    if tally is not None:
        target, predicted, scores, members, people = _together(target, predicted, scores, members, tally.count)
        said += tally.said
    said += _backwards(target, predicted, people, len(names)) if y is not None else []
    said += _decisions(score, scores, threshold)
    counted = () if people is None else (people,)
    return Predictions(
        provenance=Provenance(
            analysis="predictions_from_frame",
            version=labkit.__version__,
            options={"y": y, "label": label, "score": score, "threshold": threshold},
            data={
                "name": name,
                "sha256": array_digest(target, predicted, *counted),
                "n": len(target) if people is None else int(people.sum()),
            },
        ),
        y=target,
        label=predicted,
        proba=scores,
        classes=tuple(str(v) for v in names),
        groups=members,
        warnings=tuple(said),
        count=people,
    )


def predictions_from_labels(
    frame: pd.DataFrame,
    *,
    y: Sequence[str] | None,
    label: Sequence[str] | None,
    score: Sequence[str] | None,
    threshold: float | Mapping[str, float] | None,
    groups: Sequence[str] | Mapping[str, Any],
    classes: Sequence[Any] | None,
    name: str,
) -> dict[str, Predictions]:
    """See ``Predictions.from_labels``."""
    asked = f"predictions of several labels from the table {name}"
    given = {k: v for k, v in (("y", y), ("label", label), ("score", score)) if v is not None}
    for argument, columns in given.items():
        if isinstance(columns, str) or len(set(columns)) < len(columns):
            raise Refused(asked, f"{argument}={columns!r}", f"a list of different columns as {argument}=")
    if len({len(columns) for columns in given.values()}) != 1 or not next(iter(given.values())):
        lengths = ", ".join(f"{len(columns)} columns as {argument}=" for argument, columns in given.items())
        raise Refused(asked, lengths or "no column", "one column a label, in the same order")
    if classes is None:
        classes = [0, 1]
    if len(classes) != 2:
        raise Refused(asked, f"{len(classes)} classes", "two, not given and given; from_frame takes several classes")
    found = {}
    for i, task in enumerate(next(iter(given.values()))):
        column = None if score is None else score[i]
        found[str(task)] = predictions_from_frame(
            frame,
            y=None if y is None else y[i],
            label=None if label is None else label[i],
            score=column,
            proba=None,
            groups=groups,
            classes=classes,
            threshold=threshold.get(str(column)) if isinstance(threshold, Mapping) else threshold,
            name=f"{name}, {task}",
        )
    return found


def require_request(
    asked: str,
    y: str | None,
    label: str | None,
    score: str | None,
    proba: Sequence[str] | None,
    groups: Sequence[str] | Mapping[str, Any],
    classes: Sequence[Any] | None,
    threshold: float | None,
) -> list[str]:
    """The columns that are asked for; refused where they do not make predictions."""
    if isinstance(groups, str):
        raise Refused(f"{asked} with groups={groups!r}", "one text", f"groups=[{groups!r}]")
    if isinstance(proba, str):
        raise Refused(f"{asked} with proba={proba!r}", "one text", "one column a class, or score= for two classes")
    if label is None and score is None and proba is None:
        raise Refused(asked, "no predictions", "label=, score= with threshold=, or proba= with class columns")
    if y is None and label is None and score is None and classes is None:
        raise Refused(asked, "columns of probabilities without true labels", "classes= with the labels in order")
    if threshold is not None and (score is None or label is not None):
        given = "a threshold beside predicted labels" if label is not None else "a threshold without scores"
        raise Refused(asked, given, "score= with threshold=, or label= without one")
    if threshold is not None and not (isinstance(threshold, int | float) and 0 <= threshold <= 1):
        raise Refused(asked, f"threshold={threshold!r}", "a number from 0 to 1")
    if score is not None and label is None and threshold is None:
        raise Refused(asked, "scores without a threshold", "threshold=, above which a score is a positive answer")
    inside = () if isinstance(groups, Mapping) else groups
    return [*(c for c in (y, label, score) if c is not None), *(proba or ()), *inside]


def _scores(
    frame: pd.DataFrame,
    score: str | None,
    proba: Sequence[str] | None,
    count: int,
    people: np.ndarray | None,
    asked: str,
) -> np.ndarray | None:
    """(n, classes) probabilities, or None where there are none."""
    if score is not None:
        if count != 2:
            raise Refused(asked, f"one score column for {count} classes", "proba= with one column a class")
        second = _cells.numbers(frame[[score]], asked)[:, 0]
        _cells.require_probabilities(second, people, asked)
        return np.column_stack([1 - second, second])
    if proba is None:
        return None
    if len(proba) != count:
        raise Refused(asked, f"{len(proba)} probability columns for {count} classes", "one column a class")
    table = _cells.numbers(frame[list(proba)], asked)
    _cells.require_probabilities(table, people, asked)
    if np.abs(table.sum(1) - 1).max() > 1e-3:
        off = np.abs(table.sum(1) - 1)
        given = f"scores that are not probabilities: those of row {off.argmax()} sum to {table[off.argmax()].sum():.4g}"
        raise Refused(asked, given, "scores that sum to 1 over the classes, such as a softmax of them")
    return table


def _together(
    target: np.ndarray,
    predicted: np.ndarray,
    scores: np.ndarray | None,
    members: dict[str, np.ndarray],
    count: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, dict[str, np.ndarray], np.ndarray]:
    """Equal rows as one with the sum of their counts, in an order that does not depend on the table's."""
    import pandas as pd

    keys = {"y": target, "label": predicted, **({} if scores is None else {"score": scores[:, 1]}), **members}
    frame = pd.DataFrame({i: pd.Categorical(v) if v.dtype.kind == "U" else v for i, v in enumerate(keys.values())})
    groups = frame.groupby(list(frame.columns), observed=True)
    which = groups.ngroup().to_numpy()
    first = np.unique(which, return_index=True)[1]
    return (
        target[first],
        predicted[first],
        None if scores is None else scores[first],
        {g: names[first] for g, names in members.items()},
        np.bincount(which, count).astype(np.int64),
    )


def _backwards(target: np.ndarray, predicted: np.ndarray, people: np.ndarray | None, count: int) -> list[str]:
    """A warning where answers miss the truth more often than answers dealt at random at the same rates would."""
    n = len(target) if people is None else int(people.sum())
    rates = [np.bincount(c, people, count) / n for c in (target, predicted)]
    right = float(np.bincount(target == predicted, people, 2)[1] / n)
    chance = float(rates[0] @ rates[1])
    if wilson(right * n, n, 1 - 1e-6)[1] >= chance:
        return []
    return [
        f"accuracy {right:.3f} is far below the {chance:.3f} that answers dealt at random at the same rates would have: "
        "the labels or the answers may be coded the other way round"
    ]


def _decisions(score: str | None, scores: np.ndarray | None, threshold: float | None) -> list[str]:
    """A warning where scores are decisions."""
    if score is None or scores is None or not np.isin(scores[:, 1], (0, 1)).all():
        return []
    return [f"{score}: every score is 0 or 1, so these are decisions and no probabilities"]


def scores_from_frame(
    frame: pd.DataFrame, *, score: str, y: str | None, groups: Sequence[str] | Mapping[str, Any], name: str
) -> Scores:
    """See ``Scores.from_frame``."""
    asked = f"scores from the table {name}"
    frame = _cells.as_table(frame, asked)
    if isinstance(groups, str):
        raise Refused(f"{asked} with groups={groups!r}", "one text", f"groups=[{groups!r}]")
    inside = () if isinstance(groups, Mapping) else groups
    _cells.require_columns(frame, [c for c in (score, y, *inside) if c is not None], name)
    members, said = _cells.group_columns(frame, groups, asked)
    found = {}
    for column in dict.fromkeys(c for c in (score, y) if c is not None):
        values = found[column] = _numbers(frame, column, asked)
        _cells.require_present(np.isnan(values), column, members, None, asked)
        if np.isinf(values).any():
            raise Refused(asked, f"{int(np.isinf(values).sum())} values of {column!r} are infinite", "finite numbers")
    truth = () if y is None else (found[y],)
    return Scores(
        provenance=Provenance(
            analysis="scores_from_frame",
            version=labkit.__version__,
            options={"score": score, "y": y},
            data={"name": name, "sha256": array_digest(found[score], *truth), "n": len(frame)},
        ),
        name=str(score),
        value=found[score],
        y=None if y is None else found[y],
        groups=members,
        warnings=tuple(said),
    )


def _numbers(frame: pd.DataFrame, column: str, asked: str) -> np.ndarray:
    return _cells.numbers(frame[[column]], asked)[:, 0]
