"""Predictions out of a table: what a column may hold, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import labkit
from labkit.core.record import Provenance, array_digest
from labkit.core.refused import Refused, unknown
from labkit.records.predict import Predictions

if TYPE_CHECKING:
    import pandas as pd


def predictions_from_frame(
    frame: pd.DataFrame,
    *,
    y: str,
    label: str | None,
    score: str | None,
    proba: Sequence[str] | None,
    groups: Sequence[str],
    classes: Sequence[Any] | None,
    threshold: float | None,
    name: str,
) -> Predictions:
    """See ``Predictions.from_frame``."""
    asked = f"predictions from the table {name}"
    if not len(frame):
        raise Refused(asked, "no rows", "a table with at least one row")
    if frame.columns.duplicated().any():
        twice = sorted(set(frame.columns[frame.columns.duplicated()]))
        raise Refused(asked, f"columns that stand twice: {twice}", "one column a name")
    for column in [y, label, score, *(proba or ()), *groups]:
        if column is not None and column not in frame.columns:
            raise unknown(f"the column {column!r} of the table {name}", column, map(str, frame.columns))
    if label is None and score is None and proba is None:
        raise Refused(asked, "no predictions", "label=, score= with threshold=, or proba= with class columns")
    if score is not None and label is None and threshold is None:
        raise Refused(asked, "scores without a threshold", "threshold=, above which a score is a positive answer")

    truth = _values(frame[y], y, asked)
    names = _classes(truth, classes, asked)
    index = {value: i for i, value in enumerate(names)}
    target = _codes(truth, index, y, asked)
    scores = _scores(frame, score, proba, len(names), asked)
    if label is not None:
        predicted = _codes(_values(frame[label], label, asked), index, label, asked)
    elif score is not None and scores is not None:
        predicted = (scores[:, 1] >= threshold).astype(np.int64)
    else:
        predicted = scores.argmax(1)  # type: ignore[union-attr]
    return Predictions(
        provenance=Provenance(
            analysis="predictions_from_frame",
            version=labkit.__version__,
            options={"y": y, "label": label, "score": score, "threshold": threshold},
            data={"name": name, "sha256": array_digest(target, predicted), "n": len(frame)},
        ),
        y=target,
        label=predicted,
        proba=scores,
        classes=tuple(str(v) for v in names),
        groups={g: group_names(frame[g]) for g in groups},
    )


def group_names(column: pd.Series) -> np.ndarray:
    """Group names as text, "" where the value is missing. Names equal after trimming, case folding and NFKC are one."""
    import unicodedata

    texts = ["" if missing else str(v).strip() for v, missing in zip(column.tolist(), column.isna(), strict=True)]
    spelling: dict[str, str] = {}
    return np.array([spelling.setdefault(unicodedata.normalize("NFKC", t).casefold(), t) for t in texts], dtype=str)


def _values(column: pd.Series, name: str, asked: str) -> list[Any]:
    missing = int(column.isna().sum())
    if missing:
        raise Refused(
            asked, f"{missing} of {len(column)} values of {name!r} are missing", "rows without missing values"
        )
    return [v.item() if isinstance(v, np.generic) else v for v in column.tolist()]


def _classes(truth: list[Any], classes: Sequence[Any] | None, asked: str) -> list[Any]:
    found = sorted(set(truth), key=lambda v: (str(type(v)), v))
    if classes is not None:
        return list(classes)
    if set(found) <= {0, 1}:
        return [0, 1]
    if len(found) > 100 or any(isinstance(v, float) and v != int(v) for v in found):
        raise Refused(asked, f"{len(found)} different true values such as {found[0]!r}", "class labels, and classes=")
    return found


def _codes(values: list[Any], index: dict[Any, int], name: str, asked: str) -> np.ndarray:
    strange = sorted({repr(v) for v in values if v not in index})
    if strange:
        hint = (
            "score= with threshold= for scores"
            if all(isinstance(v, float) for v in values)
            else f"values among {', '.join(map(repr, index))}, or classes= with the labels in order"
        )
        raise Refused(asked, f"{name!r} holds {', '.join(strange[:3])}, not among the classes", hint)
    return np.array([index[v] for v in values], np.int64)


def _scores(
    frame: pd.DataFrame, score: str | None, proba: Sequence[str] | None, count: int, asked: str
) -> np.ndarray | None:
    if score is not None:
        if count != 2:
            raise Refused(asked, f"one score column for {count} classes", "proba= with one column a class")
        second = frame[score].to_numpy(dtype=float)
        table = np.column_stack([1 - second, second])
    elif proba is not None:
        if len(proba) != count:
            raise Refused(asked, f"{len(proba)} probability columns for {count} classes", "one column a class")
        table = frame[list(proba)].to_numpy(dtype=float)
    else:
        return None
    if not np.isfinite(table).all():
        raise Refused(asked, f"{int((~np.isfinite(table)).any(1).sum())} rows without a finite score", "finite scores")
    if table.min() < -1e-6 or table.max() > 1 + 1e-6 or np.abs(table.sum(1) - 1).max() > 1e-3:
        raise Refused(asked, "scores that are not probabilities", "scores from 0 to 1 that sum to 1 over the classes")
    return table
