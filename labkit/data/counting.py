"""Predictions counted out of a large table: read part by part, kept as how many people have which answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labkit.core.refused import Refused
from labkit.data.parts import csv_parts, inferred, parquet_parts, parquet_rows
from labkit.data.reading import TABLES, read_table, source
from labkit.records._cells import numbers, require_probabilities
from labkit.records._frame import Tally, predictions_from_frame, require_request
from labkit.records.predict import Predictions

# A part has so many rows; distinct rows are put together beyond PENDING, and refused beyond MOST.
PART, PENDING, MOST = 1_000_000, 1_000_000, 4_000_000
LARGE = 64 * 1024**2  # bytes of a CSV file; packed ones take about an eighth
COUNT, DECIDED = "\0count", "\0decided"


def count_predictions(
    path: str | Path,
    *,
    y: str | None,
    label: str | None = None,
    score: str | None = None,
    groups: Sequence[str] = (),
    classes: Sequence[Any] | None = None,
    threshold: float | None = None,
    levels: int = 1000,
    name: str | None = None,
) -> Predictions:
    """Predictions from a CSV or Parquet file of any length, in memory that does not grow with it.

    Only the columns named are kept. Every count is exact: of classes, answers and groups; a score meets its threshold
    before it is rounded. More than ``levels`` different scores are rounded to the nearest of so many steps from 0 to 1,
    which the warnings say. The order of the rows does not matter.

    Args:
        path: ``.csv``, ``.tsv`` (also ``.gz``) or ``.parquet`` (with the extra ``parquet``).
        y, label, score, groups, classes, threshold: as in ``Predictions.from_frame``.
        levels: steps of the scores.
        name: how reports call the table; otherwise the file's name.

    Returns:
        Predictions with one row for each distinct truth, answer, score and groups, and ``count``: how many people.

    Raises:
        Refused: what ``Predictions.from_frame`` refuses; a file that cannot be read; columns with so many different
            values that counting them saves nothing.
    """
    path = Path(path)
    name = name or path.name
    asked = f"predictions from the table {name}"
    if isinstance(levels, bool) or not isinstance(levels, int) or levels < 10:
        raise Refused(asked, f"levels={levels!r}", "a whole number from 10, such as 1000")
    columns = list(dict.fromkeys(require_request(asked, y, label, score, None, groups, classes, threshold)))
    kind = source(path)
    if kind not in TABLES:
        raise Refused(asked, f"a {kind}", "a .csv or .parquet table; labkit.predict for inputs")
    scores = [] if score is None else [score]
    counting = _Counting(asked, score, threshold if label is None else None, levels)
    for part in parquet_parts(path, columns, PART) if kind == "parquet" else csv_parts(path, columns, PART, scores):
        counting.add(part)
    found = counting.total()
    if kind == "csv":
        found = found.assign(**{c: inferred(found[c]) for c in columns if c not in scores})
    decided = found[DECIDED].to_numpy(bool) if DECIDED in found else None
    return predictions_from_frame(
        found,
        y=y,
        label=label,
        score=score,
        proba=None,
        groups=groups,
        classes=classes,
        threshold=threshold,
        name=name,
        tally=Tally(found[COUNT].to_numpy(), decided, tuple(counting.said)),
    )


def read_predictions(
    path: str | Path,
    *,
    y: str | None,
    label: str | None = None,
    score: str | None = None,
    proba: Sequence[str] | None = None,
    groups: Sequence[str] = (),
    classes: Sequence[Any] | None = None,
    threshold: float | None = None,
    name: str | None = None,
) -> Predictions:
    """Predictions from a CSV or Parquet file: one row a person, or counted (``count_predictions``) where the file has
    more than a million rows or, as CSV, more than 64 MiB.

    Args:
        path, name: as in ``count_predictions``.
        y, label, score, proba, groups, classes, threshold: as in ``Predictions.from_frame``.

    Raises:
        Refused: what ``Predictions.from_frame`` refuses; a file that cannot be read; class columns of a large file.
    """
    path = Path(path)
    name = name or path.name
    asked: dict[str, Any] = {"y": y, "label": label, "score": score, "groups": groups}
    asked |= {"classes": classes, "threshold": threshold, "name": name}
    if not _is_large(path):
        return Predictions.from_frame(read_table(path)[0], proba=proba, **asked)
    if proba is not None:
        given = f"a table of more than {PART:,} rows with class columns"
        raise Refused(f"predictions from the table {name}", given, "label=, or score= for two classes")
    return count_predictions(path, **asked)


def _is_large(path: Path) -> bool:
    if source(path) == "parquet":
        return parquet_rows(path) > PART
    return path.stat().st_size > (LARGE // 8 if path.suffix == ".gz" else LARGE)


class _Counting:
    """The distinct rows of the parts seen, and how many people have each."""

    def __init__(self, asked: str, score: str | None, threshold: float | None, levels: int) -> None:
        self.asked, self.score, self.threshold, self.levels = asked, score, threshold, levels
        self.parts: list[pd.DataFrame] = []
        self.rounded = False

    def add(self, part: pd.DataFrame) -> None:
        """Count the rows of a part."""
        if not len(part):
            return
        if self.score is not None:
            values = numbers(part[[self.score]], self.asked)[:, 0]
            known = values[np.isfinite(values)]
            if len(known):  # those that are not finite are counted at the end
                require_probabilities(known, None, self.asked)
            part = part.assign(**{self.score: values})
            if self.threshold is not None:
                part[DECIDED] = values >= self.threshold
            self._round_when_many(part)
            part = self._levelled(part)
        self.parts.append(_tallied(part.assign(**{COUNT: 1})))
        if sum(map(len, self.parts)) > PENDING:
            self.total()

    def total(self) -> pd.DataFrame:
        """The distinct rows of all parts."""
        if not self.parts:
            raise Refused(self.asked, "no rows", "a table with at least one row")
        whole = _tallied(pd.concat(self.parts, ignore_index=True))
        self._round_when_many(whole)
        whole = _tallied(self._levelled(whole))
        if len(whole) > MOST:
            widest = whole.drop(columns=[COUNT, DECIDED], errors="ignore").nunique().sort_values()
            given = f"over {MOST:,} different rows; {widest.index[-1]!r} alone has {widest.iloc[-1]:,} different values"
            raise Refused(self.asked, given, "columns of few values: groups in bands, fewer levels=")
        self.parts = [whole]
        return whole

    @property
    def said(self) -> list[str]:
        """What the rounding did."""
        if not self.rounded:
            return []
        return [
            f"{self.score}: more than {self.levels:,} different scores were rounded to {self.levels:,} steps from 0 to "
            "1; people, answers and rates are exact, what reads the scores themselves is off by up to half a step"
        ]

    def _round_when_many(self, frame: pd.DataFrame) -> None:
        self.rounded = self.rounded or (self.score is not None and frame[self.score].nunique() > self.levels)

    def _levelled(self, frame: pd.DataFrame) -> pd.DataFrame:
        if not self.rounded:
            return frame
        return frame.assign(**{str(self.score): np.rint(frame[self.score] * self.levels) / self.levels})


def _tallied(frame: pd.DataFrame) -> pd.DataFrame:
    """Equal rows as one with the sum of their counts; categories as what they stand for."""
    keys = [c for c in frame.columns if c != COUNT]
    found = frame.groupby(keys, dropna=False, observed=True, sort=False)[COUNT].sum().reset_index()
    return found.astype({c: object for c in keys if isinstance(found[c].dtype, pd.CategoricalDtype)})
