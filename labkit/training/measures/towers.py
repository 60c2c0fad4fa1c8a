"""What a fused model has over each of its towers alone."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import labkit as lk
from labkit.core.intervals import mean
from labkit.data.split import Dataset
from labkit.training.loop import fit
from labkit.training.measures import Score, share
from labkit.training.recipe import Recipe
from labkit.training.shipping import as_model

_HITS: dict[str, np.ndarray] = {}


@dataclass(frozen=True)
class TowerAlone:
    """Accuracy of one tower, trained by the fused model's recipe without the other: seed 0.

    Attributes:
        tower: as the architecture's option ``tower`` names it.
    """

    tower: str

    def __call__(self, model: Any, data: Dataset, recipe: Recipe) -> Score:
        return share(f"accuracy of the {self.tower} tower alone", _hits(self.tower, model, data, recipe))


@dataclass(frozen=True)
class AboveTower:
    """The fused model's accuracy minus that of one tower alone, on the same test examples.

    The interval is Student's for the mean of the differences, each -1, 0 or 1. It covers the choice of test examples,
    not that of the seed.
    """

    tower: str

    def __call__(self, model: Any, data: Dataset, recipe: Recipe) -> Score:
        p = lk.predict(model, data.test)
        difference = (p.label == p.y) - _hits(self.tower, model, data, recipe).astype(float)
        name = f"accuracy above the {self.tower} tower alone (paired)"
        interval = "95 %, Student, over pairs of answers to a test example"
        return Score(name, float(difference.mean()), *mean(difference), len(difference), interval)


def _hits(tower: str, model: Any, data: Dataset, recipe: Recipe) -> np.ndarray:
    """(n,) whether the tower alone is right on each test example. Trained once, however many measures ask."""
    plan = replace(recipe, config={**recipe.config, "tower": tower})
    key = json.dumps([plan.hyperparameters, data.train.digest, data.test.digest])
    if key not in _HITS:
        alone = as_model(fit(plan, data.train, device=str(model.device)), plan, data)
        p = lk.predict(alone, data.test)
        _HITS[key] = p.label == p.y
    return _HITS[key]
