"""How many copies of a row it takes until a model remembers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

Cells = Annotated[np.ndarray, Dims("kind", "repeat")]
Told = Annotated[np.ndarray, Dims("kind", "repeat", "fpr")]
Strangers = Annotated[np.ndarray, Dims("kind", "fpr")]


@dataclass(frozen=True, kw_only=True)
class Canaries(Record):
    """Planted rows: how well models that saw them can be told from models that did not. Intervals are at 95 % and over
    canaries drawn at random.

    Attributes:
        learner, about: what was trained, by name and in words. models: how many, each with half of the canaries.
        rows: training rows beside the canaries. classes: how many.
        accuracy: (value, low, high) of the models on test rows, on average, Wilson; n_test: those rows.
        kinds: of canaries. repeats: how many copies of one are planted. count: canaries of each kind and repeat.
        twins: rows of each kind made in the same way and never planted.
        exposure, exposure_low, exposure_high: log2 of (twins + 1) less log2 of a planted canary's rank among the twins by
            how sure the model is of its label; ``bits`` at most. exposure_absent: the same in models without it.
        by_chance: the mean exposure of a rank drawn at random.
        answered, answered_low, answered_high: share of the models with a canary that give its label. answered_absent:
            of those without it.
        fpr: the rates at which twins are to be taken for planted. mistaken, mistaken_low, mistaken_high: the rates at which
            they are, measured on other twins than those that set the threshold.
        recognized, recognized_low, recognized_high: the rate at which planted canaries are recognised there, by an outsider
            who has models without them to compare with.
        epsilon, delta: what private training promised of each row; nan where training made no promise. noise: standard
            deviation, in units of the clipping norm.
        guesses, right: guesses whether a canary with one copy is in a private model, and how many are right.
        least_epsilon: lower bound of epsilon by them, one-sided at 99.5 %; nan without a promise.
    """

    learner: str
    about: str
    models: int
    rows: int
    classes: int
    accuracy: tuple[float, float, float]
    n_test: int
    kinds: tuple[str, ...]
    repeats: tuple[int, ...]
    count: int
    twins: int
    exposure: Cells
    exposure_low: Cells
    exposure_high: Cells
    exposure_absent: Cells
    by_chance: float
    bits: float
    answered: Cells
    answered_low: Cells
    answered_high: Cells
    answered_absent: Cells
    fpr: Annotated[np.ndarray, Dims("fpr")]
    mistaken: Strangers
    mistaken_low: Strangers
    mistaken_high: Strangers
    recognized: Told
    recognized_low: Told
    recognized_high: Told
    epsilon: float
    delta: float
    noise: float
    guesses: int
    right: int
    least_epsilon: float

    @property
    def private(self) -> bool:
        """Whether training made a promise."""
        return not np.isnan(self.epsilon)

    def noticed(self, kind: int) -> int:
        """The least number of copies with which canaries of a kind are recognised for sure more often than strangers are
        mistaken for them, at the largest of the rates; 0 where no number was enough."""
        above = self.recognized_low[kind, :, -1] > self.mistaken_high[kind, -1]
        return min((r for r, sure in zip(self.repeats, above) if sure), default=0)
