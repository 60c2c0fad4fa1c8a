"""How a reference model was trained, and what it scores on the test set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record


@dataclass(frozen=True, kw_only=True)
class Training(Record):
    """The runs of one recipe, one a seed. The run with the best validation score is shipped; the test set chose nothing.

    Attributes:
        recipe: its name.
        seeds: the seed of each run.
        train_loss, valid_loss, valid_accuracy: by epoch; nan after a run has stopped.
        best: the epoch whose weights were kept, from 0; chosen on the validation examples.
        chosen: the position of the shipped run.
        measure: what ``score`` is: "accuracy" or "auc".
        score, low, high: of each run on the test set, with its 95 % interval over test examples (Wilson's for
            accuracy, DeLong's for the area under the curve).
        n: test examples.
        floor: the least score with which the model may ship.
        parameters: how many numbers were trained.
        steps: of the optimizer, all runs together.
        hardware, precision: in words.
    """

    recipe: str
    seeds: tuple[int, ...]
    train_loss: Annotated[np.ndarray, Dims("seed", "epoch")]
    valid_loss: Annotated[np.ndarray, Dims("seed", "epoch")]
    valid_accuracy: Annotated[np.ndarray, Dims("seed", "epoch")]
    best: Annotated[np.ndarray, Dims("seed")]
    chosen: int
    measure: str
    score: Annotated[np.ndarray, Dims("seed")]
    low: Annotated[np.ndarray, Dims("seed")]
    high: Annotated[np.ndarray, Dims("seed")]
    n: int
    floor: float
    parameters: int
    steps: int
    hardware: str
    precision: str
