"""How much better a model does on what it was trained on than on what it has not seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

NAN = float("nan")


def _none() -> np.ndarray:
    return np.zeros(0)


@dataclass(frozen=True, kw_only=True)
class GeneralizationGap(Record):
    """One metric on training, validation and test data, and what could make the comparison lie. Intervals are at 95 %.

    Attributes:
        better: 1 when higher values of the metric are better, -1 when lower ones are, 0 when neither is.
        n_train, n_validation, n_test: rows; 0 where the part was not given, and its values are nan.
        train, validation, test: the metric on each, with its interval; with several training runs the mean over them.
        runs_train, runs_validation, runs_test: (run,) the metric of each training run.
        gap: train minus test, with ``method``'s interval.
        accuracy, balanced_accuracy: on the test data.
        majority_class, majority_share: the most frequent class in training, and its share of the test data: what a
            constant answer scores.
        majority_p: how often guessing at that share does at least as well (exact binomial, one-sided).
        duplicates: test rows that also stand in the training data; -1 when inputs were not kept.
        conflicts: those of them that have another label in training: different examples that look alike, no copies.
        unseen: the metric on the other test rows; nan when there is none or inputs were not kept.
        log_loss, log_loss_prior: of the model, and of the training data's class shares; nan without probabilities.
        relabelled: the accuracy under the best renaming of the classes, when accuracy is far below chance; else nan.
        looks, looked_models: how often the test rows were scored until now, and by how many different models, by the
            ledger that was kept; -1 without one.
    """

    metric: str
    better: int
    n_train: int
    n_test: int
    train: float
    train_low: float
    train_high: float
    test: float
    test_low: float
    test_high: float
    gap: float
    gap_low: float
    gap_high: float
    method: str
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    balanced_accuracy: float
    classes: int
    majority_class: str
    majority_share: float
    majority_p: float
    duplicates: int
    conflicts: int
    unseen: float
    unseen_low: float
    unseen_high: float
    log_loss: float
    log_loss_prior: float
    relabelled: float
    n_validation: int = 0
    validation: float = NAN
    validation_low: float = NAN
    validation_high: float = NAN
    runs_train: Annotated[np.ndarray, Dims("trained")] = field(default_factory=_none)
    runs_validation: Annotated[np.ndarray, Dims("validated")] = field(default_factory=_none)
    runs_test: Annotated[np.ndarray, Dims("run")] = field(default_factory=_none)
    looks: int = -1
    looked_models: int = -1

    @property
    def drop(self) -> tuple[float, float, float]:
        """How much worse the test value is, with its interval: the gap, signed so that more is worse."""
        if self.better < 0:
            return -self.gap, -self.gap_high, -self.gap_low
        return self.gap, self.gap_low, self.gap_high
