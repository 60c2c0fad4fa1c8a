"""Two models on the same test examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import labkit as lk
from labkit.core.intervals import mean
from labkit.data.split import Dataset
from labkit.training.measures import Score
from labkit.training.recipe import Recipe


@dataclass(frozen=True)
class AccuracyBeside:
    """Accuracy minus that of a shipped reference model, on the same test examples.

    Its interval is Student's for the mean of the differences, each of which is -1, 0 or 1: what both get right or wrong
    does not count, and two models of the same data agree on most.
    """

    twin: str

    def __call__(self, model: Any, data: Dataset, recipe: Recipe) -> Score:
        own, other = (lk.predict(m, data.test) for m in (model, lk.zoo.load(self.twin)))
        difference = (own.label == own.y) - (other.label == other.y).astype(float)
        name = f"accuracy minus that of {self.twin} (paired)"
        interval = "95 %, Student, over pairs of answers to a test example"
        return Score(name, float(np.mean(difference)), *mean(difference), len(difference), interval)
