"""Calibration of every class, its probability and its answers, beside one null for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.analyses._groups.reliability import errors, parts
from labkit.core import intervals, resampling
from labkit.metrics.expected_calibration_error import expected_calibration_error
from labkit.records.calibration import CLASS_MEASURES, CalibrationByClass
from labkit.records.predict import Predictions

# Draws take the scores of a class in so many levels: four to a bin of the calibration error.
LEVELS = 60
NAN = float("nan")


@dataclass(frozen=True)
class _Scores:
    """The levels of score of one class in one measure, how many rows have each, and the number of its first cell."""

    value: np.ndarray
    n: np.ndarray
    start: int

    def error(self, hits: np.ndarray) -> np.ndarray:
        """(draws,) calibration errors of (draws, cells) events; nan where the class has no row."""
        own = hits[:, self.start : self.start + len(self.value)]
        return errors(self.value, self.n - own, own) if len(self.value) else np.full(len(hits), NAN)


class Classes:
    """Calibration errors of every class, as seen and as they would be if outcomes had exactly the stated probabilities.

    Attributes:
        seen: (measure, class) from scores put together to ``LEVELS``, as in the draws; nan where a class has no row.
        null: (replicates, measure, class). Draws are of whole rows, so that classes depend on each other as they do.
    """

    def __init__(self, proba: np.ndarray, y: np.ndarray, replicates: int, generator: np.random.Generator) -> None:
        self.proba, self.y, self.label = proba, y, proba.argmax(1)
        self._place()
        self.seen = self._errors(y[None])[0]
        rows, count = np.arange(len(y)), proba.shape[1]
        ends = np.cumsum(proba / proba.sum(1, keepdims=True), 1)
        ends[:, -1] = 1.0
        flat = (ends + rows[:, None]).ravel()
        null = []
        for size in parts(replicates, max(len(y), self._total)):
            drawn = np.searchsorted(flat, generator.random((size, len(y))) + rows, side="right") - rows * count
            null.append(self._errors(np.minimum(drawn, count - 1)))
        self.null = np.concatenate(null)

    def rows(self, measure: int, c: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which rows speak of a class, its probability in them, and whether it was true."""
        rows = np.flatnonzero(self.label == c) if measure else np.arange(len(self.y))
        return rows, self.proba[rows, c].astype(float), self.y[rows] == c

    def _place(self) -> None:
        """Give every row its cells: one for each class that may be true, one for its answer being right."""
        self._of_class, self._of_answer = np.zeros(self.proba.shape, np.int64), np.zeros(len(self.y), np.int64)
        self._scores: list[list[_Scores]] = [[], []]
        self._total = 0
        for measure, c in np.ndindex(2, self.proba.shape[1]):
            rows, chance, _ = self.rows(measure, c)
            value, code, n = np.unique(resampling.coarse(chance, LEVELS), return_inverse=True, return_counts=True)
            if measure:
                self._of_answer[rows] = code + self._total
            else:
                self._of_class[:, c] = code + self._total
            self._scores[measure].append(_Scores(value, n, self._total))
            self._total += len(value)

    def _errors(self, y: np.ndarray) -> np.ndarray:
        """(draws, measure, class) errors where the classes of the rows are (draws, n)."""
        draw = np.arange(len(y))[:, None] * self._total
        true, right = self._of_class[np.arange(y.shape[1]), y] + draw, (self._of_answer + draw)[y == self.label]
        hits = np.bincount(np.append(true, right), minlength=len(y) * self._total).reshape(len(y), self._total)
        return np.array([[s.error(hits) for s in row] for row in self._scores]).transpose(2, 0, 1)


def by_class(
    p: Predictions, proba: np.ndarray, least: int, replicates: int, generator: np.random.Generator
) -> CalibrationByClass:
    """Each class against the rest, and the answers of each class; see the record."""
    found = Classes(proba, p.y, replicates, generator)
    shape = (len(CLASS_MEASURES), len(p.classes))
    each: dict[str, Any] = {name: np.full(shape, NAN) for name in ("stated", "happened", "ece")}
    each |= {name: np.full(shape, NAN) for name in ("excess", "excess_low", "excess_high", "p")}
    n = np.zeros(shape, np.int64)
    for at in np.ndindex(*shape):
        rows, chance, happened = found.rows(*at)
        n[at] = len(rows)
        if not len(rows):
            continue
        low, high = intervals.paired_mean(happened - chance)
        each["stated"][at], each["happened"][at] = chance.mean(), happened.mean()
        each["excess"][at], each["excess_low"][at], each["excess_high"][at] = (happened - chance).mean(), low, high
        each["ece"][at] = expected_calibration_error(happened, chance)
        each["p"][at] = resampling.share_as_large(found.null[(slice(None), *at)], float(found.seen[at]))
    ranked = n >= max(least, 1)
    share = np.where(n > 0, n, 0) / n.sum(1, keepdims=True)
    joint = np.nansum(found.null * share, 2)
    ece = np.nansum(each["ece"] * share, 1)
    seen = np.nansum(found.seen * share, 1)
    return CalibrationByClass(
        classes=p.classes,
        least=least,
        n=n,
        ranked=ranked,
        **each,
        ece95=np.quantile(found.null, 0.95, axis=0),
        p_corrected=_corrected(found, ranked),
        mean_ece=ece,
        mean_ece95=np.quantile(joint, 0.95, axis=0),
        mean_p=np.array([resampling.share_as_large(joint[:, m], float(seen[m])) for m in range(2)]),
    )


def _corrected(found: Classes, ranked: np.ndarray) -> np.ndarray:
    """(measure, class) the share of draws in which some class, in either measure, has an error as far out beside its own
    null (P. Westfall and S. Young, 1993, Resampling-Based Multiple Testing: the largest of each draw). Holm's correction
    of shares of draws would need as many times more draws as there are classes."""
    middle, spread = found.null.mean(0), np.maximum(found.null.std(0), 1e-12)
    largest = np.where(ranked, (found.null - middle) / spread, -np.inf).max((1, 2))
    seen = (found.seen - middle) / spread
    corrected = [resampling.share_as_large(largest, float(v)) if r else NAN for v, r in zip(seen.flat, ranked.flat)]
    return np.array(corrected).reshape(seen.shape)
