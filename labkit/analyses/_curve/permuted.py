"""Labels dealt out anew: how a whole procedure scores on them, and how sure it is that this is above chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from labkit.analyses._guard import in_words
from labkit.core import intervals, method, progress, resampling
from labkit.core.refused import Refused
from labkit.data.split import Dataset, Split

DRAWS = 2000
# Scores that differ by less are one score, rounded.
SAME = 1e-9


@dataclass(frozen=True)
class Control:
    """Scores of a procedure on permuted labels, as ``labkit.records.random_labels`` names them."""

    score: np.ndarray
    chance: float
    mean: float
    low: float
    high: float
    p: float
    method: str


def permuted(data: Dataset, generator: np.random.Generator) -> Dataset:
    """The same rows, with the labels of either part dealt out among its rows."""
    train, test = (replace(part, y=generator.permutation(part.y)) for part in data)
    return replace(data, train=train, test=test)


class Procedure:
    """The user's whole procedure, called as its arguments are named.

    Args:
        function: ``(train, test)`` -> the answers to the test rows, as class numbers, or a score; or ``(x, y)`` of all
            rows -> a score. Of scores the greater is the better.
        data: training and test rows, or a Split of all rows for ``(x, y)``.
    """

    def __init__(self, asked: str, function: Callable[..., Any], data: Dataset | Split) -> None:
        self.asked, self.function, self.data = f"{asked} of {name_of(function)}", function, data
        self.parts = set(method.needs(function)) == {"train", "test"}
        if self.parts and not isinstance(data, Dataset):
            raise Refused(self.asked, "a Split of all rows", "a data set with .train and .test, or a procedure (x, y)")
        if not self.parts and len(method.needs(function)) != 2:
            given = f"a procedure of {', '.join(method.needs(function)) or 'no arguments'}"
            raise Refused(self.asked, given, "one of (x, y) or of (train, test)")

    def __call__(self, generator: np.random.Generator | None) -> tuple[np.ndarray | float, np.ndarray]:
        """What it gives, and the labels of the rows that it is judged on; permuted unless there is no generator."""
        instead = "a procedure that runs on these rows, whatever their labels"
        if self.parts:
            assert isinstance(self.data, Dataset)
            data = self.data if generator is None else permuted(self.data, generator)
            with in_words(self.asked, instead):
                given = self.function(data.train, data.test)
            return self._read(given, len(data.test)), data.test.y
        x, y = _whole(self.data)
        y = y if generator is None else generator.permutation(y)
        with in_words(self.asked, instead):
            given = self.function(x.copy(), y.copy())
        return self._read(given, 0), y

    def _read(self, given: Any, n: int) -> np.ndarray | float:
        found = np.asarray(given)
        if found.ndim == 0 and found.dtype.kind in "fiub" and np.isfinite(found):
            return float(found)
        if n and found.shape == (n,) and found.dtype.kind in "iu" and found.min() >= 0:
            return found.astype(np.int64)
        told = f"{found.dtype} of shape {found.shape}" if found.ndim else repr(given)[:60]
        raise Refused(self.asked, f"a result of type {told}", "a finite score, or a class number for each test row")


def control(procedure: Procedure, permutations: int, chance: float | None, generator: np.random.Generator) -> Control:
    """The procedure on labels permuted so many times. Refused where it gives scores and nobody says what chance gives."""
    found = []
    for i in range(permutations):
        progress.step("the procedure on permuted labels", i, permutations)
        found.append(procedure(generator))
    if all(isinstance(given, np.ndarray) for given, _ in found):
        return of_answers(np.array([a for a, _ in found]), np.array([y for _, y in found]), generator)
    if chance is None:
        instead = "chance=, such as 0.5 of an area under the ROC curve; or class numbers for each test row"
        raise Refused(procedure.asked, "a score, and nothing of what chance alone scores", instead)
    return of_scores(np.array([a if isinstance(a, float) else float((a == y).mean()) for a, y in found]), chance)


def of_answers(answers: np.ndarray, y: np.ndarray, generator: np.random.Generator) -> Control:
    """The control of (permutations, n) answers to rows with (permutations, n) permuted labels.

    If no label of these rows reached an answer, any other way to deal them out was as likely: counts of answers by label
    with the same margins give the exact distribution of the hits.
    """
    classes = int(max(answers.max(), y.max())) + 1
    null, by_chance = np.zeros(DRAWS), 0.0
    for given, truth in zip(answers, y):
        table = np.bincount(given * classes + truth, minlength=classes**2).reshape(classes, classes)
        drawn = resampling.permuted_tables(table, DRAWS, generator)
        null += np.trace(drawn, axis1=1, axis2=2) / y.size
        by_chance += table.sum(0) @ table.sum(1) / y.shape[1] / y.size
    score = (answers == y).mean(1)
    p = resampling.share_as_large(null, float(score.mean()))
    return _stated(score, by_chance, p, f"{DRAWS:,} further permutations of the labels of the test rows")


def of_scores(score: np.ndarray, chance: float) -> Control:
    """The control of scores alone: Student's test of their mean against chance, on one side."""
    from scipy.special import stdtr

    above, spread = float(score.mean()) - chance, float(score.std(ddof=1) / np.sqrt(len(score)))
    p = float(stdtr(len(score) - 1, -above / spread)) if spread > SAME else float(above <= SAME)
    return _stated(score, chance, p, "Student's test of the scores' mean against chance, one-sided")


def _stated(score: np.ndarray, chance: float, p: float, how: str) -> Control:
    low, high = intervals.mean(score)
    return Control(score, float(chance), float(score.mean()), low, high, p, how)


def name_of(function: Any) -> str:
    """A function's name, or that of its kind."""
    return str(getattr(function, "__name__", type(function).__name__))


def _whole(data: Dataset | Split) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(data, Split):
        return data.x, data.y
    return np.concatenate([part.x for part in data]), np.concatenate([part.y for part in data])
