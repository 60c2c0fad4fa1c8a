"""A model beside models that anyone can read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record


@dataclass(frozen=True, kw_only=True)
class Baselines(Record):
    """One metric of a model and of baselines on the same test rows, and their differences row by row. Intervals are at
    95 %.

    Attributes:
        better: 1 when higher values of the metric are better, -1 when lower ones are, 0 when neither is.
        model: its name.
        readable: whether the model can itself be read, as a sum of terms.
        n: test rows.
        n_train: training rows on offer to the baselines. trained_on: those that the model had; 0 where nobody said.
        value, low, high: the model's.
        baselines: their names, and ``about``: how each was fitted.
        fitted_on: training rows that each was fitted on. can_be_read: whether each is a sum of terms.
        score, score_low, score_high: each baseline's.
        difference, difference_low, difference_high: the model's value minus the baseline's, by ``method``.
        only_model, only_baseline: rows that one of the two gets right and the other wrong.
    """

    metric: str
    better: int
    model: str
    readable: bool
    n: int
    n_train: int
    trained_on: int
    value: float
    low: float
    high: float
    baselines: tuple[str, ...]
    about: tuple[str, ...]
    fitted_on: Annotated[np.ndarray, Dims("baseline")]
    can_be_read: Annotated[np.ndarray, Dims("baseline")]
    score: Annotated[np.ndarray, Dims("baseline")]
    score_low: Annotated[np.ndarray, Dims("baseline")]
    score_high: Annotated[np.ndarray, Dims("baseline")]
    difference: Annotated[np.ndarray, Dims("baseline")]
    difference_low: Annotated[np.ndarray, Dims("baseline")]
    difference_high: Annotated[np.ndarray, Dims("baseline")]
    method: str
    only_model: Annotated[np.ndarray, Dims("baseline")]
    only_baseline: Annotated[np.ndarray, Dims("baseline")]

    @property
    def ahead(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """How far the model is ahead of each baseline, with its interval: the difference, signed so that more is better."""
        if self.better < 0:
            return -self.difference, -self.difference_high, -self.difference_low
        return self.difference, self.difference_low, self.difference_high

    @property
    def hardest(self) -> int:
        """Which of the baselines that can be read the model is least ahead of."""
        return int(np.nanargmin(np.where(self.can_be_read, self.ahead[0], np.inf)))
