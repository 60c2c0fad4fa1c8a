"""Models that an outsider trains on rows like the model's, half of the rows each, to learn what having seen a row does."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labkit.core.resampling import stream
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.training.learners import Learner, forget, learner
from labkit.training.many import Fit, Many, fit_many


@dataclass(frozen=True, eq=False)
class Shadows:
    """What shadow models answer.

    Attributes:
        rows: (models, n, classes) logits of the rows in question. population: of the further rows.
        inside: (models, n) which of the rows each model was trained on: half of them.
        learner: what was trained. many: the models, with what training them cost.
    """

    rows: np.ndarray
    population: np.ndarray
    inside: np.ndarray
    learner: Learner
    many: Many


def halves(models: int, n: int, generator: np.random.Generator) -> np.ndarray:
    """(models, n) a random half of the rows for each model; every second model takes what the one before it left, so that
    half of the models saw each row."""
    order = generator.random(((models + 1) // 2, n)).argsort(1)
    first = order < n // 2
    return np.stack([first, ~first], 1).reshape(-1, n)[:models]


def train_shadows(
    given: Any,
    model: Classifier,
    rows: Split,
    population: Split,
    count: int,
    fit: Fit,
    seed: int,
    checkpoint: str | Path | None,
) -> Shadows:
    """Train so many models of one learner and ask them about all rows."""
    chosen = learner(given, rows, model)
    draws = stream(seed, "membership", "shadows")
    inside = halves(count, len(rows), draws)
    seeds = draws.integers(0, 2**31, count).tolist()
    many = fit_many(
        chosen.make, rows.x, rows.y, inside, fit=fit, seeds=seeds, checkpoint=checkpoint, title="shadow models"
    )
    return Shadows(many.logits(rows.x), many.logits(population.x), inside, chosen, many)


def untrained(model: Classifier, given: Any, rows: Split, seed: int) -> Classifier:
    """The model with fresh weights; an untrained learner where it has none that could be drawn anew."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if not any(p.is_floating_point() for p in model.module.parameters()):
            made = learner(given, rows, model).make(seed).to(model.device).eval()
            return Classifier(made, model.classes, name=f"an untrained copy of {model.name}")
        module = copy.deepcopy(model.module)
        forget(module)
        return replace(model, module=module, name=f"an untrained copy of {model.name}")
