"""What a learner makes of labels that mean nothing, and what a whole procedure scores on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

Levels = Annotated[np.ndarray, Dims("level")]


@dataclass(frozen=True, kw_only=True)
class RandomLabels(Record):
    """Training on labels of which a share was permuted, and the scores of permuted labels. Intervals are at 95 %.

    Attributes:
        learner, about: what was trained, and how; or the name of the procedure.
        rows, n: training and test rows; ``n`` is 0 where a procedure does not say how many it tests on.
        share: of the training labels that were dealt out anew among their rows, at each level. Without levels only a
            procedure was asked.
        models: how many were trained at each level.
        train, train_low, train_high: share of the training rows that got the answer they were taught.
        test, test_low, test_high: share of the test rows, which keep their true labels, that got theirs.
        steps: optimizer steps until 99 of 100 training rows were answered as taught, median over models; infinite where
            more than half of them never came so far.
        epoch, fitted: (level, epoch) the mean training accuracy after each epoch.
        score: (permutation,) what the procedure scores where the labels of test rows are permuted too.
        chance: what it may score on average when no label of a test row reached it.
        mean, low, high: of the scores.
        p: how often labels dealt out at random give so high a mean: by ``method``.
        truly: what the procedure scores on the labels as they are.
    """

    learner: str
    about: str
    rows: int
    n: int
    share: Levels
    models: Levels
    train: Levels
    train_low: Levels
    train_high: Levels
    test: Levels
    test_low: Levels
    test_high: Levels
    steps: Levels
    epoch: Annotated[np.ndarray, Dims("epoch")]
    fitted: Annotated[np.ndarray, Dims("level", "epoch")]
    score: Annotated[np.ndarray, Dims("permutation")]
    chance: float
    mean: float
    low: float
    high: float
    p: float
    method: str
    truly: float
