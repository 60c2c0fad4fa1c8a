"""The training loop: a recipe and data in, modules and their curves out. Every reference model comes out of this one.

The data lie on the device from the start, every random draw of an epoch follows from (seed, epoch), and each epoch ends
with a checkpoint: a run that is killed goes on from its last whole epoch. On a CPU, with the same number of threads, it
ends in the same weights bit for bit; on CUDA sums may differ in their last bits.

Several seeds can run at once as one stack of models: every tensor has the models as its first axis and the examples as
its second, also when there is one model.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labkit.core import progress, registry
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.models.device import pick
from labkit.training import checkpoint as disk
from labkit.training import distributed
from labkit.training.augment import augment
from labkit.training.costs import Costs
from labkit.training.hardware import computes_bfloat16, in_words
from labkit.training.members import Members
from labkit.training.objectives import Objective
from labkit.training.optimizing import clip_gradients, make_optimizer, move_average, rate_at
from labkit.training.recipe import Recipe
from labkit.training.runs import CURVES, Curves, Runs, Trained

EVALUATION_BATCH = 1000


def fit(recipe: Recipe, data: Split, *, seed: int = 0, device: str = "auto", checkpoint: Path | None = None) -> Trained:
    """Train one model on a training split; the recipe's damage is done to it first.

    Args:
        checkpoint: where each epoch is kept; a run found there is continued.

    Raises:
        Refused: a loss that is not finite, an unknown device, or a checkpoint that does not fit.
    """
    return fit_together(recipe, data, seeds=(seed,), device=device, checkpoint=checkpoint)[0]


def fit_together(
    recipe: Recipe, data: Split, *, seeds: Sequence[int], device: str = "auto", checkpoint: Path | None = None
) -> list[Trained]:
    """Train one model a seed, all at once as one stack (torch.func). Each starts from the weights, and sees the examples
    in the order, that it would alone; only draws of dropout and augmentation are others.

    Raises:
        Refused: as ``fit``.
    """
    if recipe.watch == "accuracy" and not recipe.minimised.classifies:
        raise Refused(f"training {recipe.name}", "watch='accuracy' for a model that names no classes", "watch='loss'")
    where = distributed.own_device(pick(device))
    prepared = recipe.prepared(data)
    if recipe.solver:
        return [_solve(recipe, prepared, seed) for seed in seeds]
    identity = {"recipe": recipe.hyperparameters, "data": data.digest, "seed": list(seeds)}
    with torch.random.fork_rng([where] if where.type == "cuda" else []):
        return _fit(recipe, prepared, tuple(seeds), where, checkpoint, identity)


def _fit(
    recipe: Recipe,
    data: Split,
    seeds: tuple[int, ...],
    device: torch.device,
    path: Path | None,
    identity: dict[str, Any],
) -> list[Trained]:
    training, held_out = hold_out(data, recipe.validation)
    x, y = _on(device, training)
    valid = _on(device, held_out)
    batch = distributed.even(min(recipe.batch_size, len(y)))
    steps = len(y) // batch
    low_precision = recipe.low_precision and computes_bfloat16(device)
    objective = recipe.minimised

    config = {**recipe.config, **(recipe.from_data(training) if recipe.from_data else {})}
    modules = [_fresh(recipe, config, seed, device, x.ndim == 4) for seed in seeds]
    compiled = recipe.compile and device.type == "cuda" and len(seeds) == 1
    members = Members(modules, low_precision=low_precision, compiled=compiled)
    judged = Members([copy.deepcopy(m) for m in modules]) if recipe.average else members
    optimizer = make_optimizer(members, recipe)
    costs = Costs(device)
    runs = Runs(len(seeds), judged)
    saved = disk.read(path, identity) if path else None
    if saved:
        done, parts = saved
        runs.restore(done, parts, device)
        costs.restore(done["costs"])
        members.load_state_dict(parts["members"])
        judged.load_state_dict(parts["judged"])
        disk.restore_optimizer(optimizer, parts.get("optimizer", {}))
    answer = distributed.synchronised(members)

    for epoch in range(runs.epochs, recipe.epochs):
        if recipe.patience and runs.all_stopped(epoch, recipe.patience):
            break
        began = time.perf_counter()
        order = torch.stack([_order(len(y), seed, epoch, device) for seed in seeds])
        torch.manual_seed(epoch_seed(*seeds, epoch, 1))
        total = torch.zeros(len(seeds), device=device)
        members.train()
        for i in range(steps):
            now = epoch * steps + i
            share = now / (recipe.epochs * steps)
            rate = rate_at(share, recipe)
            for group in optimizer.param_groups:
                group["lr"] = rate
            rows = order[:, i * batch : (i + 1) * batch]
            seen = augment(x[rows.flatten()], recipe).unflatten(0, rows.shape)
            losses = objective.at(share).loss(answer, distributed.share(seen), distributed.share(y[rows]))
            optimizer.zero_grad(set_to_none=True)
            losses.sum().backward()
            if recipe.clip:
                clip_gradients(members, recipe.clip)
            optimizer.step()
            if recipe.average:
                move_average(judged, members, min(recipe.average, (1 + now) / (10 + now)))
            total += losses.detach()
            progress.step(_title(recipe, seeds), now + 1, recipe.epochs * steps)

        train_loss = distributed.mean(total / steps)
        valid_loss, valid_accuracy = (distributed.agreed(v) for v in judge(judged, objective, *valid))
        if not torch.isfinite(train_loss + valid_loss).all():
            raise Refused(f"training {recipe.name}", f"a loss that is not finite in epoch {epoch + 1}", "a lower rate")
        seconds = (time.perf_counter() - began) / len(seeds)
        told = (train_loss, valid_loss, valid_accuracy, torch.full_like(total, rate), torch.full_like(total, seconds))
        values = dict(zip(CURVES, told))
        runs.add(values, recipe.merit(values), recipe.patience)
        costs.add(members, judged)
        if path and distributed.first():
            tensors = {"members": members.state_dict(), "judged": judged.state_dict(), **runs.best_states}
            done = {**runs.told(), "costs": costs.told()}
            disk.write(path, identity, done, {**tensors, "optimizer": disk.optimizer_tensors(optimizer)})

    precision = "bfloat16 autocast" if low_precision else "float32"
    return runs.ended(modules, config, seeds, steps, in_words(device), precision, costs)


def _solve(recipe: Recipe, data: Split, seed: int) -> Trained:
    """A model that no gradient trains."""
    assert recipe.solver is not None
    began = time.perf_counter()
    config, state = recipe.solver(data, seed)
    config = {**recipe.config, **config}
    module = registry.find("architectures", recipe.architecture)(**config)
    module.load_state_dict(state)
    costs = Costs(torch.device("cpu"))
    curves: Curves = {name: [] for name in CURVES} | {"seconds": [time.perf_counter() - began]}
    return Trained(module.eval(), config, curves, -1, seed, 0, in_words(torch.device("cpu")), "float64", costs)


def hold_out(data: Split, share: float) -> tuple[Split, Split]:
    """The examples to train on and those to choose the epoch on: the same for every seed, so that seeds compare."""
    order = np.random.default_rng(0).permutation(len(data))
    held = max(1, round(share * len(data)))
    return data[np.sort(order[held:])], data[np.sort(order[:held])]


def epoch_seed(*parts: int) -> int:
    """A seed for every draw of one epoch, from seed and epoch, so that no generator's state needs to be kept."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def judge(answer: Members, objective: Objective, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """(models,) mean loss and (models,) share of right answers, in evaluation mode, in float32 as the models will be used.

    Draws are the same each time, so that epochs compare.
    """
    answer.eval()
    torch.manual_seed(0)
    parts = [
        objective.judge(answer, a.expand(answer.count, *a.shape), b.expand(answer.count, *b.shape))
        for a, b in zip(x.split(EVALUATION_BATCH), y.split(EVALUATION_BATCH))
    ]
    loss, right = (torch.cat(list(p), 1).detach().double().mean(1) for p in zip(*parts))
    return loss.float(), right.float()


def _fresh(recipe: Recipe, config: dict[str, Any], seed: int, device: torch.device, images: bool) -> nn.Module:
    torch.manual_seed(seed)
    module: nn.Module = registry.find("architectures", recipe.architecture)(**config).to(device)
    return module.to(memory_format=torch.channels_last) if images else module  # type: ignore[call-overload]


def _order(n: int, seed: int, epoch: int, device: torch.device) -> Tensor:
    torch.manual_seed(epoch_seed(seed, epoch))
    return torch.randperm(n, device=device)


def _title(recipe: Recipe, seeds: Sequence[int]) -> str:
    return f"training {recipe.name}, seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _on(device: torch.device, split: Split) -> tuple[Tensor, Tensor]:
    x = torch.tensor(split.x, device=device)
    if x.ndim == 4:
        x = x.to(memory_format=torch.channels_last)
    return x, torch.tensor(split.y, device=device)
