"""Predictions out of a table: what a column may hold, and what is refused."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import labkit
from labkit.core.record import Provenance, array_digest
from labkit.core.refused import Refused, unknown
from labkit.records.predict import Predictions
from labkit.records.scores import Scores

if TYPE_CHECKING:
    import pandas as pd


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
) -> Predictions:
    """See ``Predictions.from_frame``."""
    asked = f"predictions from the table {name}"
    if not hasattr(frame, "columns"):
        raise Refused(asked, f"a {type(frame).__name__}", "a pandas DataFrame")
    if not len(frame):
        raise Refused(asked, "no rows", "a table with at least one row")
    if frame.columns.duplicated().any():
        twice = sorted(set(frame.columns[frame.columns.duplicated()]))
        raise Refused(asked, f"columns that stand twice: {twice}", "one column a name")
    if isinstance(groups, str):
        raise Refused(f"{asked} with groups={groups!r}", "one text", f"groups=[{groups!r}]")
    inside = () if isinstance(groups, Mapping) else groups
    named = [c for c in (y, label, score) if c is not None]
    for column in [*named, *(proba or ()), *inside]:
        if column not in frame.columns:
            raise unknown(f"the column {column!r} of the table {name}", str(column), map(str, frame.columns))
    if label is None and score is None and proba is None:
        raise Refused(asked, "no predictions", "label=, score= with threshold=, or proba= with class columns")
    if threshold is not None and (score is None or label is not None):
        given = "a threshold beside predicted labels" if label is not None else "a threshold without scores"
        raise Refused(asked, given, "score= with threshold=, or label= without one")
    if threshold is not None and not (isinstance(threshold, int | float) and 0 <= threshold <= 1):
        raise Refused(asked, f"threshold={threshold!r}", "a number from 0 to 1")
    if score is not None and label is None and threshold is None:
        raise Refused(asked, "scores without a threshold", "threshold=, above which a score is a positive answer")

    columns = {g: _aligned(groups[g], g, frame, asked) if isinstance(groups, Mapping) else frame[g] for g in groups}
    truth = None if y is None else _values(frame[y], y, asked, columns)
    answers = None if label is None else _values(frame[label], label, asked, columns)
    if truth is None and answers is None and classes is None and proba is not None:
        raise Refused(asked, "columns of probabilities without true labels", "classes= with the labels in order")
    names = _classes((truth if truth is not None else answers) or [0, 1], classes, asked)
    index = {value: i for i, value in enumerate(names)}
    target = np.full(len(frame), -1) if truth is None or y is None else _codes(truth, index, y, asked)
    scores = _scores(frame, score, proba, len(names), asked)
    if answers is not None and label is not None:
        predicted = _codes(answers, index, label, asked)
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
        groups={g: group_names(column) for g, column in columns.items()},
        warnings=tuple(w for g, column in columns.items() for w in _merged(g, column)),
    )


def _aligned(values: Any, name: str, frame: pd.DataFrame, asked: str) -> pd.Series:
    """A group column given apart from the table: a pandas Series by its index, anything else by its order."""
    import pandas as pd

    instead = "a column of the table, or a pandas Series with the table's index"
    if not isinstance(values, pd.Series):
        if len(values) != len(frame):
            raise Refused(asked, f"{len(values)} values of {name!r} for {len(frame)} rows", instead)
        return pd.Series(np.asarray(values, object), index=frame.index)
    if values.index.equals(frame.index):
        return values
    if not (values.index.is_unique and frame.index.is_unique):
        raise Refused(asked, f"{name!r} in another row order, and index entries that stand twice", instead)
    missing = int((~frame.index.isin(values.index)).sum())
    if missing:
        given = f"{name!r} with another index: {missing} of {len(frame)} rows of the table are not in it"
        raise Refused(asked, given, instead)
    return values.reindex(frame.index)


def _merged(name: str, column: pd.Series) -> list[str]:
    """Which spellings of a group were taken as one."""
    spellings: dict[str, list[str]] = {}
    for raw in dict.fromkeys(str(v) for v in column[column.notna()].tolist()):
        spellings.setdefault(_folded(raw), []).append(raw)
    return [f"{name}: {', '.join(map(repr, s))} were taken as one group" for s in spellings.values() if len(s) > 1]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().casefold()


def group_names(column: pd.Series) -> np.ndarray:
    """Group names as text, "" where the value is missing, spellings merged."""
    texts = ["" if missing else str(v) for v, missing in zip(column.tolist(), column.isna(), strict=True)]
    return merge_spellings(texts)


def merge_spellings(texts: Iterable[str]) -> np.ndarray:
    """Names equal after trimming, case folding and NFKC get the first one's spelling."""
    spelling: dict[str, str] = {}
    return np.array([spelling.setdefault(_folded(t.strip()), t.strip()) for t in texts], dtype=str)


def _values(column: pd.Series, name: str, asked: str, groups: Mapping[str, pd.Series]) -> list[Any]:
    absent = column.isna().to_numpy()
    if absent.any():
        given = f"{absent.sum()} of {len(column)} values of {name!r} are missing"
        for feature, members in groups.items():
            where, n = np.unique(group_names(members)[absent], return_counts=True)
            top = n.argmax()
            given += f", {n[top]} of them where {feature} is {where[top] or 'unknown'}"
        instead = "rows without missing values, or a value of their own for them among classes="
        raise Refused(asked, given, instead)
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


def _numbers(columns: pd.DataFrame, asked: str) -> np.ndarray:
    try:
        return columns.to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise Refused(asked, f"scores that are not numbers ({error})", "numbers from 0 to 1") from None


def _scores(
    frame: pd.DataFrame, score: str | None, proba: Sequence[str] | None, count: int, asked: str
) -> np.ndarray | None:
    if score is not None:
        if count != 2:
            raise Refused(asked, f"one score column for {count} classes", "proba= with one column a class")
        second = _numbers(frame[[score]], asked)[:, 0]
        table = np.column_stack([1 - second, second])
    elif proba is not None:
        if len(proba) != count:
            raise Refused(asked, f"{len(proba)} probability columns for {count} classes", "one column a class")
        table = _numbers(frame[list(proba)], asked)
    else:
        return None
    if not np.isfinite(table).all():
        raise Refused(asked, f"{int((~np.isfinite(table)).any(1).sum())} rows without a finite score", "finite scores")
    if table.min() < -1e-6 or table.max() > 1 + 1e-6 or np.abs(table.sum(1) - 1).max() > 1e-3:
        raise Refused(asked, "scores that are not probabilities", "scores from 0 to 1 that sum to 1 over the classes")
    return table


def scores_from_frame(
    frame: pd.DataFrame, *, score: str, y: str | None, groups: Sequence[str] | Mapping[str, Any], name: str
) -> Scores:
    """See ``Scores.from_frame``."""
    asked = f"scores from the table {name}"
    if not hasattr(frame, "columns"):
        raise Refused(asked, f"a {type(frame).__name__}", "a pandas DataFrame")
    inside = () if isinstance(groups, Mapping) else groups
    for column in [score, *([] if y is None else [y]), *inside]:
        if column not in frame.columns:
            raise unknown(f"the column {column!r} of the table {name}", str(column), map(str, frame.columns))
    columns = {g: _aligned(groups[g], g, frame, asked) if isinstance(groups, Mapping) else frame[g] for g in groups}
    value = np.array(_values(frame[score], score, asked, columns), float)
    truth = None if y is None else np.array(_values(frame[y], y, asked, columns), float)
    return Scores(
        provenance=Provenance(
            analysis="scores_from_frame",
            version=labkit.__version__,
            options={"score": score, "y": y},
            data={"name": name, "sha256": array_digest(value), "n": len(frame)},
        ),
        name=score,
        value=value,
        y=truth,
        groups={g: group_names(column) for g, column in columns.items()},
        warnings=tuple(w for g, column in columns.items() for w in _merged(g, column)),
    )
