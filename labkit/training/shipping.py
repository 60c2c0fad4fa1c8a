"""From a recipe to a model that ships: seeds, the choice among them, the test, the weights and the card."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import labkit as lk
from labkit.core import registry, store
from labkit.core.record import Provenance
from labkit.core.refused import Refused
from labkit.data.split import Dataset
from labkit.models.device import pick
from labkit.models.opening import save
from labkit.models.wrapping import wrap
from labkit.records.train import Training
from labkit.training import distributed
from labkit.training.card import write_card
from labkit.training.costs import energy
from labkit.training.loop import fit, fit_together
from labkit.training.measures import Goal, Score
from labkit.training.recipe import Recipe, plain
from labkit.training.runs import Trained


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
    seeds the one that is best in what the recipe watches is shipped; the test set is looked at once, at the end. Started by
    ``torchrun``, each process works on its share of every batch.

    Args:
        recipe: a name that ``labkit.names("recipes")`` lists, or a function that returns a Recipe.
        device: "auto" takes CUDA when there is one.
        seeds: how many runs, with seeds 0, 1, ...
        budget: the share of the recipe's epochs to run. Below 1 the result is for trying out, and its card says so.

    Raises:
        Refused: an unknown recipe or device, data that are not here, a budget outside (0, 1], a damaged checkpoint, no
            room to write.
    """
    if seeds < 1 or not 0 < budget <= 1:
        raise Refused("training", f"seeds={seeds}, budget={budget}", "seeds of at least 1 and a budget in (0, 1]")
    store.as_folder(out)
    plan: Recipe = registry.find("recipes", recipe)().shortened(budget)
    folder = Path(out)
    started = datetime.now(UTC)
    with distributed.joined(pick(device)):
        data = lk.data.load(plan.data, **plan.data_options)
        kept, runs = _runs(plan, data, seeds, device, folder / "checkpoints")
        models = [as_model(run, plan, data) for run in runs]
        record = _record(plan, data, runs, models, started)
        if distributed.first():
            run, model = runs[record.chosen], models[record.chosen]
            weights = save(model, folder / "weights" / f"{plan.name}.safetensors", plan.architecture, run.config)
            store.save(record, folder / "curves" / f"{plan.name}.lk")
            write_card(folder / "cards" / f"{plan.name}.toml", record, plan, data, weights, budget)
            for path in kept:
                path.unlink(missing_ok=True)
    return record


def rewrite_card(recipe: str | Callable[[], Recipe], folder: str | os.PathLike[str]) -> Training:
    """Bring card and record up to date with what a recipe says in words (licence, use, known failures, floors), without
    training or measuring again. The weights stay as they are.

    Raises:
        Refused: a recipe that would give other weights than those that lie there.
    """
    plan: Recipe = registry.find("recipes", recipe)()
    place = Path(folder)
    path = place / "curves" / f"{plan.name}.lk"
    budget = lk.zoo.card(plan.name, place)["training"]["budget"]
    old = store.load(path)
    made = old.provenance
    same = plain(made.options) == plan.shortened(budget).hyperparameters
    if not same or plain(made.settings["measured"]) != _measures(plan):
        what = (
            "measures are no longer those of its record"
            if same
            else "hyperparameters are no longer those of its weights"
        )
        given = f"a recipe whose {what}"
        raise Refused(f"to rewrite the card of {plan.name}", given, f"labkit train {plan.name}")
    record = replace(old, **_words(plan), **_asked(plan.goals))
    store.save(record, path)
    data = lk.data.load(plan.data, **plan.data_options)
    card, weights = place / "cards" / f"{plan.name}.toml", place / "weights" / f"{plan.name}.safetensors"
    write_card(card, record, plan, data, weights, budget)
    return record


def as_model(run: Trained, recipe: Recipe, data: Dataset) -> Any:
    """The trained module with what the tools must know about it: a Classifier, or a Generative model."""
    device = str(next((p.device for p in run.module.parameters()), "cpu"))
    if not recipe.minimised.classifies:
        from labkit.models.generative import Generative

        assert data.schema.bounds is not None
        return Generative(run.module, shape=data.schema.shape, bounds=data.schema.bounds, name=recipe.name)
    return wrap(
        run.module,
        classes=data.classes,
        bounds=data.schema.bounds,
        embedding=recipe.embedding,
        baseline=recipe.baseline(data.train) if recipe.baseline else None,
        padding=recipe.padding,
        name=recipe.name,
        device=device,
    )


def _runs(recipe: Recipe, data: Dataset, seeds: int, device: str, folder: Path) -> tuple[list[Path], list[Trained]]:
    """Every run, and the checkpoints that they leave."""
    if recipe.together and seeds > 1:
        path = folder / f"{recipe.name}-{seeds}-together.safetensors"
        return [path], fit_together(recipe, data.train, seeds=range(seeds), device=device, checkpoint=path)
    kept = [folder / f"{recipe.name}-{seed}.safetensors" for seed in range(seeds)]
    return kept, [fit(recipe, data.train, seed=s, device=device, checkpoint=path) for s, path in enumerate(kept)]


def _record(
    recipe: Recipe, data: Dataset, runs: Sequence[Trained], models: Sequence[Any], started: datetime
) -> Training:
    merits = [recipe.merit({k: v[run.best] for k, v in run.curves.items()}) if run.best >= 0 else 0.0 for run in runs]
    chosen = int(np.argmax(merits))
    scores = _measured(recipe, data, models, chosen)
    run = runs[chosen]
    seconds = sum(sum(r.curves["seconds"]) for r in runs)
    device = torch.device(str(pick(str(next((p.device for p in run.module.parameters()), "cpu")))))
    joules, method = energy(seconds, device)
    costs = list({id(r.costs): r.costs for r in runs}.values())  # a stack's models share theirs
    trained_on = recipe.prepared(data.train)
    used = {"trained_on": trained_on.describe()} if trained_on is not data.train else {}
    return Training(
        provenance=Provenance(
            analysis="train",
            version=lk.__version__,
            options=recipe.hyperparameters,
            seed=run.seed,
            model=models[chosen].describe(),
            data={"train": data.train.describe(), "test": data.test.describe(), **used},
            settings={
                "device": str(device),
                "threads": torch.get_num_threads(),
                "processes": distributed.world(),
                "measured": _measures(recipe),
            },
            packages=_packages(recipe),
            started=started.isoformat(timespec="seconds"),
            seconds=round(seconds, 1),
        ),
        recipe=recipe.name,
        seeds=tuple(r.seed for r in runs),
        train_loss=_curves(runs, "train_loss"),
        valid_loss=_curves(runs, "valid_loss"),
        valid_accuracy=_curves(runs, "valid_accuracy"),
        best=np.array([r.best for r in runs]),
        chosen=chosen,
        measures=tuple(s.name for s in scores[chosen]),
        score=np.array([[s.value for s in row] for row in scores]),
        low=np.array([[s.low for s in row] for row in scores]),
        high=np.array([[s.high for s in row] for row in scores]),
        intervals=tuple(s.interval for s in scores[chosen]),
        n=np.array([s.n for s in scores[chosen]]),
        **_asked(recipe.goals),
        parameters=sum(p.numel() for p in run.module.parameters()),
        steps=sum(r.steps for r in runs),
        forwards=sum(c.forwards for c in costs),
        backwards=sum(c.backwards for c in costs),
        peak_memory=max(c.peak_memory for c in costs),
        joules=round(joules),
        energy=method,
        hardware=run.hardware,
        precision=run.precision,
        **_words(recipe),
    )


def _measured(recipe: Recipe, data: Dataset, models: Sequence[Any], chosen: int) -> list[list[Score]]:
    """The score of each model and goal; what is measured once is not a number for the models that do not ship."""
    missing = Score("", math.nan, math.nan, math.nan, 0, "")
    return [
        [missing if g.once and i != chosen else g.measure(model, data, recipe) for g in recipe.goals]
        for i, model in enumerate(models)
    ]


def _measures(recipe: Recipe) -> list[Any]:
    """Which measures a recipe asks for, in their order, as plain values."""
    return [plain(goal.measure) for goal in recipe.goals]


def _asked(goals: Sequence[Goal]) -> dict[str, Any]:
    """Floors and ceilings as the record has them."""
    floor = [math.nan if g.floor is None else g.floor for g in goals]
    ceiling = [math.nan if g.ceiling is None else g.ceiling for g in goals]
    return {"floor": np.array(floor), "ceiling": np.array(ceiling)}


def _words(recipe: Recipe) -> dict[str, Any]:
    card = recipe.card
    return {
        "licence": card["licence"],
        "intended_use": card["intended_use"],
        "known_failures": tuple(card["known_failures"]),
    }


def _packages(recipe: Recipe) -> dict[str, str]:
    """Versions of what decides the weights, as far as it is here."""
    solvers = ("scikit-learn", "interpret-core") if recipe.solver else ()
    used = [p for p in ("numpy", "torch", *solvers) if any(True for _ in distributions(name=p))]
    return {"python": platform.python_version(), **{p: version(p) for p in used}}


def _curves(runs: Sequence[Trained], name: str) -> np.ndarray:
    table = np.full((len(runs), max(len(r.curves[name]) for r in runs)), np.nan)
    for row, run in zip(table, runs):
        row[: len(run.curves[name])] = run.curves[name]
    return table
