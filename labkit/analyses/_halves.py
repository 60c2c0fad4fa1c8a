"""Rows to fit on and rows to state on, of which no input is on both sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.analyses.predict import row_hashes
from labkit.core.refused import Refused
from labkit.data.holdout import in_fold
from labkit.records.predict import Predictions


def same_rows(first: np.ndarray, other: np.ndarray) -> bool:
    """Whether two parts hold the same inputs, in whatever order."""
    if first.shape != other.shape:
        return False
    return np.array_equal(np.sort(row_hashes(first)), np.sort(row_hashes(other)))


@dataclass(frozen=True)
class Rows:
    """Probabilities, true classes, and what tells inputs apart.

    Attributes:
        asked: the analysis. proba: (n, classes). y: (n,). key: (n,) numbers; equal inputs have equal ones.
    """

    asked: str
    proba: np.ndarray
    y: np.ndarray
    key: np.ndarray

    def __len__(self) -> int:
        return len(self.y)

    def part(self, rows: np.ndarray) -> Rows:
        return Rows(self.asked, self.proba[rows], self.y[rows], self.key[rows])

    def half(self, seed: int) -> np.ndarray:
        """A mask of a half at random; equal inputs are on one side. Refused where there are too few."""
        try:
            return in_fold([key.tobytes() for key in self.key], np.zeros(len(self), np.int64), 0, 2, seed)
        except Refused as error:
            raise Refused(f"{self.asked} on halves", error.given, "more rows of different inputs") from None

    def require(self, least: int, what: str) -> None:
        """Refuse fewer rows than ``least``, and rows of one class."""
        if len(self) < least:
            instead = f"at least {least} of each; where halves are made, twice as many"
            raise Refused(self.asked, f"{len(self)} rows to {what}", instead)
        if len(np.unique(self.y)) < 2:
            given = f"rows to {what} that are all of one class"
            raise Refused(self.asked, given, "predictions on rows of two classes or more")


def rows_of(asked: str, p: Predictions) -> Rows:
    """Refused: predictions without probabilities."""
    if p.proba is None:
        given = "predictions with labels only"
        raise Refused(asked, given, "probabilities: labkit.predict, or from_frame with score= or proba=")
    key = np.arange(len(p), dtype=np.uint64) if p.row is None else p.row
    return Rows(asked, p.proba.astype(float), p.y, key)


def others(asked: str, p: Predictions, given: Predictions, warnings: list[str]) -> Rows:
    """The rows of ``given`` without those whose inputs stand in ``p`` too.

    Raises:
        Refused: other classes, no probabilities, or the same predictions twice.
    """
    source = rows_of(asked, given)
    if given.classes != p.classes:
        said = f"classes {list(p.classes)[:4]} to state on and {list(given.classes)[:4]} to fit on"
        raise Refused(asked, said, "predictions of one model, with the same classes in the same order")
    if given.digest == p.digest:
        raise Refused(
            asked, "the same predictions to fit on and to state on", "one of them: halves are then made of it"
        )
    if p.row is None or given.row is None:
        return source
    fresh = ~np.isin(given.row, p.row)
    if not fresh.all():
        warnings.append(f"{int((~fresh).sum())} rows to fit on have inputs that are stated on, and are left out")
    return source.part(fresh)
