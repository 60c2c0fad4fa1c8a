"""From a recipe to a model that ships: seeds, the choice among them, the test, the weights and the card."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import labkit as lk
from labkit.core import registry, store
from labkit.core.record import Provenance
from labkit.core.refused import Refused
from labkit.data.split import Dataset
from labkit.models.classifier import Classifier
from labkit.models.opening import save
from labkit.models.wrapping import wrap
from labkit.records.train import Training
from labkit.training.card import write_card
from labkit.training.loop import Trained, fit
from labkit.training.recipe import Recipe
from labkit.training.scores import measure


def train(
    recipe: str | Callable[[], Recipe],
    *,
    device: str = "auto",
    seeds: int = 1,
    out: str | os.PathLike[str] = "build/zoo",
    budget: float = 1.0,
) -> Training:
    """Train a reference model and write ``weights/<name>.safetensors``, ``cards/<name>.toml`` and ``curves/<name>.lk``.

    An interrupted run goes on from its last whole epoch when it is started again with the same ``out``. Of several
    seeds the one with the best validation score is shipped; the test set is looked at once, at the end.

    Args:
        recipe: a name that ``labkit.names("recipes")`` lists, or a function that returns a Recipe.
        device: "auto" takes CUDA when there is one.
        seeds: how many runs, with seeds 0, 1, ...
        budget: the share of the recipe's epochs to run. Below 1 the result is for trying out, and its card says so.

    Raises:
        Refused: an unknown recipe or device, data that are not here, a budget outside (0, 1], a damaged checkpoint.
    """
    if seeds < 1 or not 0 < budget <= 1:
        raise Refused("training", f"seeds={seeds}, budget={budget}", "seeds of at least 1 and a budget in (0, 1]")
    store.as_folder(out)
    plan: Recipe = registry.find("recipes", recipe)()
    plan = replace(plan, epochs=max(1, round(budget * plan.epochs)))
    folder = Path(out)
    started = datetime.now(UTC)
    data = lk.data.load(plan.data, **plan.data_options)
    kept = [folder / "checkpoints" / f"{plan.name}-{seed}.safetensors" for seed in range(seeds)]
    runs = [fit(plan, data.train, seed=seed, device=device, checkpoint=path) for seed, path in enumerate(kept)]
    models = [as_classifier(run, plan, data) for run in runs]
    sign = 1 if plan.watch == "accuracy" else -1
    chosen = int(np.argmax([sign * run.curves[f"valid_{plan.watch}"][run.best] for run in runs]))
    record = _record(plan, data, runs, models, chosen, started)

    run, model = runs[chosen], models[chosen]
    weights = save(model, folder / "weights" / f"{plan.name}.safetensors", plan.architecture, run.config)
    store.save(record, folder / "curves" / f"{plan.name}.lk")
    write_card(folder / "cards" / f"{plan.name}.toml", record, plan, data, weights, budget)
    for path in kept:
        path.unlink(missing_ok=True)
    return record


def as_classifier(run: Trained, recipe: Recipe, data: Dataset) -> Classifier:
    """The trained module with what the tools must know about it."""
    return wrap(
        run.module,
        classes=data.classes,
        bounds=data.schema.bounds,
        embedding=recipe.embedding,
        baseline=recipe.baseline(data.train) if recipe.baseline else None,
        padding=recipe.padding,
        name=recipe.name,
        device=str(next(run.module.parameters()).device),
    )


def _record(
    recipe: Recipe,
    data: Dataset,
    runs: Sequence[Trained],
    models: Sequence[Classifier],
    chosen: int,
    started: datetime,
) -> Training:
    predictions = [lk.predict(model, data.test) for model in models]
    scores = np.array([measure(p, recipe.score) for p in predictions])
    run = runs[chosen]
    return Training(
        provenance=Provenance(
            analysis="train",
            version=lk.__version__,
            options=recipe.hyperparameters,
            seed=run.seed,
            model=models[chosen].describe(),
            data={"train": data.train.describe(), "test": data.test.describe()},
            settings={"device": str(models[chosen].device), "threads": torch.get_num_threads()},
            packages={"python": platform.python_version(), **{p: version(p) for p in ("numpy", "torch")}},
            started=started.isoformat(timespec="seconds"),
            seconds=round(sum(sum(r.curves["seconds"]) for r in runs), 1),
        ),
        recipe=recipe.name,
        seeds=tuple(r.seed for r in runs),
        **{name: _curves(runs, name) for name in ("train_loss", "valid_loss", "valid_accuracy")},
        best=np.array([r.best for r in runs]),
        chosen=chosen,
        measure=recipe.score,
        score=scores[:, 0],
        low=scores[:, 1],
        high=scores[:, 2],
        n=len(data.test),
        floor=recipe.floor,
        parameters=sum(p.numel() for p in run.module.parameters()),
        steps=sum(r.steps for r in runs),
        hardware=run.hardware,
        precision=run.precision,
    )


def _curves(runs: Sequence[Trained], name: str) -> Any:
    table = np.full((len(runs), max(len(r.curves[name]) for r in runs)), np.nan)
    for row, run in zip(table, runs):
        row[: len(run.curves[name])] = run.curves[name]
    return table
