"""Whether an outsider can tell which rows a model was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core import roc
from labkit.core.intervals import delong
from labkit.core.record import Dims, Record

Rates = Annotated[np.ndarray, Dims("rate")]
Estimate = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class MembershipInference(Record):
    """Scores of several attacks on rows that the model was trained on (members) and on rows that it was not (others),
    with what the same rows give to a guess that never asks the model, and to a copy of it that never learned.

    Intervals are at 95 %: DeLong's for areas under the ROC curve, ``core.roc.rate_at`` for true positive rates. Rows of
    the two sides that are equal in every value are in neither.

    Attributes:
        model: its name; "answers" where only predictions were given.
        member: (row,) whether a row is one that the model was trained on.
        position: (row,) its number in the training or test data that it was drawn from.
        stated: (row,) half of each side: what is stated of the chosen attack rests on these rows; the other half chose it.
        methods: names of the attacks. specs: with their options. needs: what an outsider must have for each, in words.
        score: (method, row) higher for rows that look more like members.
        chosen: which method had the largest true positive rate on the half that chose.
        fpr: (rate,) false positive rates asked for.
        untrained: (row,) scores that the chosen method gives to a copy of the model with fresh weights; None without one.
        blind: names of the guesses without the model. blind_score: (guess, row); empty where inputs are not known.
        limit: area from which on such a guess makes the rest worthless.
        p: how often the largest area of all methods is as large when membership is dealt out at random.
        shadows: models that the outsider trained, on ``shadow_rows`` rows each. learner: what they are, in words.
        population: further rows that no model saw.
        copies: rows that were left out since an equal row stands elsewhere in the data.
        label: (row,) true classes, as numbers of ``classes``.
        shown: rows of which ``pictures`` or ``texts`` are kept, the most exposed first; empty unless asked for.
    """

    model: str
    member: Annotated[np.ndarray, Dims("row")]
    position: Annotated[np.ndarray, Dims("row")]
    stated: Annotated[np.ndarray, Dims("row")]
    methods: tuple[str, ...]
    specs: tuple[str, ...]
    needs: tuple[str, ...]
    score: Annotated[np.ndarray, Dims("method", "row")]
    chosen: int
    fpr: Rates
    untrained: Annotated[np.ndarray, Dims("row")] | None
    blind: tuple[str, ...]
    blind_score: Annotated[np.ndarray, Dims("guess", "row")]
    limit: float
    p: float
    shadows: int
    shadow_rows: int
    learner: str
    population: int
    copies: int
    classes: tuple[str, ...]
    label: Annotated[np.ndarray, Dims("row")]
    shown: Annotated[np.ndarray, Dims("shown")]
    pictures: Annotated[np.ndarray, Dims("shown", "...")] | None = None
    texts: tuple[str, ...] = ()

    @property
    def members(self) -> int:
        """Rows on which the chosen method is stated that the model was trained on."""
        return int(self.member[self.stated].sum())

    @property
    def others(self) -> int:
        """Rows on which the chosen method is stated that the model was not trained on."""
        return int((~self.member[self.stated]).sum())

    @property
    def resolved(self) -> float:
        """The smallest false positive rate that these rows resolve: ten false positives are expected there."""
        return roc.resolved(self.others)

    @property
    def least(self) -> int:
        """Which of ``fpr`` is the smallest that these rows resolve; -1 where none is."""
        fit = np.flatnonzero(self.fpr >= self.resolved)
        return int(fit[self.fpr[fit].argmin()]) if len(fit) else -1

    def area(self, method: int | None = None, level: float = 0.95) -> Estimate:
        """Area under a method's ROC curve on all rows; None: the chosen one's, on the rows on which it is stated."""
        return self._area(*self._on(method), level)

    def rates(self, method: int | None = None, level: float = 0.95) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(rate,) true positive rate and its interval at each of ``fpr``; nan where ten false positives are not to be
        expected. As for ``area``, None is the chosen method on the rows on which it is stated."""
        score, member = self._on(method)
        found = np.array(roc.rate_at(score, member, self.fpr, level))
        found[:, self.fpr < roc.resolved(int((~member).sum()))] = np.nan
        return found[0], found[1], found[2]

    def guess(self, level: float = 0.95) -> tuple[str, Estimate]:
        """The better of the guesses without the model, and its area; an empty name where there is none."""
        found = [self._area(score, self.member, level) for score in self.blind_score]
        if not found:
            return "", (float("nan"),) * 3
        best = int(np.argmax([value for value, *_ in found]))
        return self.blind[best], found[best]

    def control(self, level: float = 0.95) -> Estimate:
        """Area of the chosen method on the copy that never learned: half, if nothing but training tells rows apart."""
        if self.untrained is None:
            return (float("nan"),) * 3
        return self._area(self.untrained, self.member, level)

    def exposed(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The members that the chosen method finds most surely: their rows, and the share of others that look as much like
        members."""
        score = self.score[self.chosen]
        rows = np.flatnonzero(self.member)
        rows = rows[np.argsort(-score[rows], kind="stable")][:count]
        others = np.sort(score[~self.member])
        return rows, 1 - np.searchsorted(others, score[rows], side="left") / len(others)

    def _on(self, method: int | None) -> tuple[np.ndarray, np.ndarray]:
        if method is None:
            return self.score[self.chosen][self.stated], self.member[self.stated]
        return self.score[method], self.member

    @staticmethod
    def _area(score: np.ndarray, member: np.ndarray, level: float) -> Estimate:
        return delong(member.astype(int), score, level)
