"""The training loop: a recipe and data in, a module and its curves out. Every reference model comes out of this one.

The data lie on the device from the start, every random draw of an epoch follows from (seed, epoch), and each epoch ends
with a checkpoint: a run that is killed goes on from its last whole epoch. On a CPU, with the same number of threads, it
ends in the same weights bit for bit; on CUDA sums may differ in their last bits.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from labkit.core import progress, registry
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.models.device import pick
from labkit.training import checkpoint as disk
from labkit.training.augment import augment
from labkit.training.hardware import autocast, computes_bfloat16, in_words
from labkit.training.optimizing import make_optimizer, move_average, rate_at
from labkit.training.recipe import Recipe

Curves = dict[str, list[float]]
EVALUATION_BATCH = 1000


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained module at its best epoch, how it got there, and on what.

    Attributes:
        config: every option of the architecture.
        curves: one value an epoch: train_loss, valid_loss, valid_accuracy, rate, seconds.
        best: the epoch whose weights these are, from 0.
        steps: of the optimizer.
    """

    module: nn.Module
    config: dict[str, Any]
    curves: Curves
    best: int
    seed: int
    steps: int
    hardware: str
    precision: str


def fit(recipe: Recipe, data: Split, *, seed: int = 0, device: str = "auto", checkpoint: Path | None = None) -> Trained:
    """Train one model on a training split.

    Args:
        checkpoint: where each epoch is kept; a run found there is continued.

    Raises:
        Refused: a loss that is not finite, an unknown device, or a checkpoint that does not fit.
    """
    where = pick(device)
    with torch.random.fork_rng([where] if where.type == "cuda" else []):
        return _fit(recipe, data, seed, where, checkpoint)


def _fit(recipe: Recipe, data: Split, seed: int, device: torch.device, checkpoint: Path | None) -> Trained:
    training, held_out = hold_out(data, recipe.validation)
    x, y = _on(device, training)
    valid = _on(device, held_out)
    batch = min(recipe.batch_size, len(y))
    steps = len(y) // batch
    low_precision = recipe.low_precision and computes_bfloat16(device)

    torch.manual_seed(seed)
    config = {**recipe.config, **(recipe.from_data(training) if recipe.from_data else {})}
    module = registry.find("architectures", recipe.architecture)(**config).to(device)
    if x.ndim == 4:
        module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    shipped = copy.deepcopy(module) if recipe.average else module
    optimizer = make_optimizer(module, recipe)
    answer = torch.compile(module) if recipe.compile and device.type == "cuda" else module
    curves: Curves = {name: [] for name in ("train_loss", "valid_loss", "valid_accuracy", "rate", "seconds")}
    best_state, best_score, best = _copy(shipped), -math.inf, -1

    identity = {"recipe": recipe.hyperparameters, "data": data.digest, "seed": seed}
    saved = disk.read(checkpoint, identity) if checkpoint else None
    if saved:
        done, parts = saved
        curves, best, best_score = done["curves"], done["best"], done["best_score"]
        best_state = {k: v.to(device) for k, v in parts["best"].items()}
        module.load_state_dict(parts["module"])
        shipped.load_state_dict(parts["shipped"])
        disk.restore_optimizer(optimizer, parts.get("optimizer", {}))

    for epoch in range(len(curves["rate"]), recipe.epochs):
        if recipe.patience and epoch - best > recipe.patience:
            break
        began = time.perf_counter()
        torch.manual_seed(epoch_seed(seed, epoch))
        order = torch.randperm(len(y), device=device)
        total = torch.zeros((), device=device)
        module.train()
        for i in range(steps):
            now = epoch * steps + i
            rate = rate_at(now / (recipe.epochs * steps), recipe)
            for group in optimizer.param_groups:
                group["lr"] = rate
            rows = order[i * batch : (i + 1) * batch]
            with autocast(device, low_precision):
                logits = answer(augment(x[rows], recipe))
            loss = functional.cross_entropy(logits.float(), y[rows], label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if recipe.clip:
                nn.utils.clip_grad_norm_(module.parameters(), recipe.clip)
            optimizer.step()
            if recipe.average:
                move_average(shipped, module, min(recipe.average, (1 + now) / (10 + now)))
            total += loss.detach()
            progress.step(f"training {recipe.name}, seed {seed}", now + 1, recipe.epochs * steps)

        train_loss = float(total) / steps
        valid_loss, valid_accuracy = judge(shipped, *valid)
        if not math.isfinite(train_loss + valid_loss):
            raise Refused(f"training {recipe.name}", f"a loss that is not finite in epoch {epoch + 1}", "a lower rate")
        score = valid_accuracy if recipe.watch == "accuracy" else -valid_loss
        if score > best_score:
            best_state, best_score, best = _copy(shipped), score, epoch
        seconds = time.perf_counter() - began
        for name, value in zip(curves, (train_loss, valid_loss, valid_accuracy, rate, seconds), strict=True):
            curves[name].append(value)
        if checkpoint:
            done = {"curves": curves, "best": best, "best_score": best_score}
            tensors = {"module": module.state_dict(), "shipped": shipped.state_dict(), "best": best_state}
            disk.write(checkpoint, identity, done, {**tensors, "optimizer": disk.optimizer_tensors(optimizer)})

    shipped.load_state_dict(best_state)
    precision = "bfloat16 autocast" if low_precision else "float32"
    made = steps * len(curves["rate"])
    return Trained(shipped.eval(), config, curves, best, seed, made, in_words(device), precision)


def hold_out(data: Split, share: float) -> tuple[Split, Split]:
    """The examples to train on and those to choose the epoch on: the same for every seed, so that seeds compare."""
    order = np.random.default_rng(0).permutation(len(data))
    held = max(1, round(share * len(data)))
    return data[np.sort(order[held:])], data[np.sort(order[:held])]


def epoch_seed(seed: int, epoch: int) -> int:
    """A seed for every draw of one epoch, so that no generator's state needs to be kept."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))


@torch.no_grad()
def judge(module: nn.Module, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Mean cross-entropy and accuracy in evaluation mode, in float32 as the model will be used."""
    module.eval()
    logits = torch.cat([module(part).float() for part in x.split(EVALUATION_BATCH)])
    return float(functional.cross_entropy(logits, y)), float((logits.argmax(1) == y).float().mean())


def _on(device: torch.device, split: Split) -> tuple[Tensor, Tensor]:
    x = torch.tensor(split.x, device=device)
    if x.ndim == 4:
        x = x.to(memory_format=torch.channels_last)
    return x, torch.tensor(split.y, device=device)


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}
