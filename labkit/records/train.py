"""How a reference model was trained, what it scores and what that took: what its card says, as a record."""

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
        train_loss, valid_loss, valid_accuracy: by epoch; nan after a run has stopped. No epoch at all for a model that
            no gradient trained.
        best: the epoch whose weights were kept, from 0; chosen on the validation examples. -1 without epochs.
        chosen: the position of the shipped run.
        measures: what was measured, in words; the first is the headline.
        score, low, high: of each run and measure, with its 95 % interval; nan where only the shipped run was measured, or
            where a measure has no interval.
        intervals: which interval each measure has, and over what.
        n: examples each was measured on.
        floor, ceiling: what each measure had to reach, and to stay under, before the model may ship; nan asks nothing.
        parameters: how many numbers were trained.
        steps: of the optimizer, all runs together.
        forwards, backwards: examples that went through a model and back, all runs together.
        peak_memory: bytes.
        joules, energy: an estimate, and how it was made.
        hardware, precision: in words.
        licence, intended_use, known_failures: what the card says of them.
    """

    recipe: str
    seeds: tuple[int, ...]
    train_loss: Annotated[np.ndarray, Dims("seed", "epoch")]
    valid_loss: Annotated[np.ndarray, Dims("seed", "epoch")]
    valid_accuracy: Annotated[np.ndarray, Dims("seed", "epoch")]
    best: Annotated[np.ndarray, Dims("seed")]
    chosen: int
    measures: tuple[str, ...]
    score: Annotated[np.ndarray, Dims("seed", "measure")]
    low: Annotated[np.ndarray, Dims("seed", "measure")]
    high: Annotated[np.ndarray, Dims("seed", "measure")]
    intervals: tuple[str, ...]
    n: Annotated[np.ndarray, Dims("measure")]
    floor: Annotated[np.ndarray, Dims("measure")]
    ceiling: Annotated[np.ndarray, Dims("measure")]
    parameters: int
    steps: int
    forwards: int
    backwards: int
    peak_memory: int
    joules: float
    energy: str
    hardware: str
    precision: str
    licence: str
    intended_use: str
    known_failures: tuple[str, ...]

    @property
    def met(self) -> tuple[bool, ...]:
        """Whether the shipped run's value of each measure is a number within its floor and ceiling."""
        value = self.score[self.chosen]
        within = np.isfinite(value) & ~(value < self.floor) & ~(value > self.ceiling)
        return tuple(bool(v) for v in within)
