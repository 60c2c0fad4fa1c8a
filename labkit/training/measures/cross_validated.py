"""What a recipe reaches on examples that it has not seen, over every example of a small data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import labkit as lk
from labkit.core.intervals import delong, resampled_mean
from labkit.data.split import Dataset
from labkit.training.loop import fit
from labkit.training.measures import Score
from labkit.training.recipe import Recipe


@dataclass(frozen=True)
class CrossValidated:
    """Mean area under the curve of class 1 over repeated stratified cross-validation: a score of the recipe, not of one
    model.

    Every fold is loaded as a data set of its own (the loader's options ``fold``, ``folds`` and ``seed``), so that what
    the loader keeps on one side stays there, and everything that is read from training examples is read again from
    the other folds: ranges, categories, interval edges, the best epoch. Fold 0 of seed 0 is the test part of the
    shipped model.

    The interval allows for training parts that overlap; the least and greatest fold are told beside it.

    Attributes:
        folds: of about equal size, each tested once by a model trained on the others.
        repeats: so many cuts into folds, each by another seed.
    """

    folds: int = 5
    repeats: int = 4

    def __call__(self, model: Any, data: Dataset, recipe: Recipe) -> Score:
        device = str(model.device)
        areas = np.array(
            [self.area(recipe, fold, seed, device) for seed in range(self.repeats) for fold in range(self.folds)]
        )
        low, high = resampled_mean(areas, 1 / self.folds)
        interval = (
            f"95 %, corrected resampled t, over {self.repeats} times {self.folds} folds, "
            f"which reach from {areas.min():.3f} to {areas.max():.3f}"
        )
        examples = len(data.train) + len(data.test)
        return Score("cross-validated AUC", float(areas.mean()), low, high, examples, interval)

    def area(self, recipe: Recipe, fold: int, seed: int, device: str) -> float:
        """Area under the curve on one fold of a model trained on the others."""
        from labkit.training.shipping import as_model  # it imports the measures

        part = lk.data.load(recipe.data, **recipe.data_options, fold=fold, folds=self.folds, seed=seed)
        p = lk.predict(as_model(fit(recipe, part.train, seed=seed, device=device), recipe, part), part.test)
        assert p.proba is not None
        return delong(p.y, p.proba[:, 1])[0]
