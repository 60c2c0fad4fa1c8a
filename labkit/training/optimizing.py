"""Parts of a training step that need no data: the optimizer, its rate, and the average of the weights."""

from __future__ import annotations

import math

import torch
from torch import nn

from labkit.training.members import Members
from labkit.training.recipe import Recipe


def make_optimizer(members: Members, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer; weights with fewer than two axes (biases, gains) are not decayed, frozen ones left out."""
    trained = [p for p in members.parameters() if p.requires_grad]
    decayed = [p for p in trained if members.axes(p) > 1]
    plain = [p for p in trained if members.axes(p) <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=recipe.rate)


def rate_at(share: float, recipe: Recipe) -> float:
    """The learning rate after this share of all steps: a line up, then half a cosine down to zero (one cycle)."""
    if share < recipe.warmup:
        return recipe.rate * (0.05 + 0.95 * share / recipe.warmup)
    return recipe.rate * (1 + math.cos(math.pi * (share - recipe.warmup) / (1 - recipe.warmup))) / 2


@torch.no_grad()
def clip_gradients(members: Members, limit: float) -> None:
    """Shorten each model's gradient to the limit where it is longer."""
    gradients = [p.grad for p in members.parameters() if p.grad is not None]
    if members.count == 1:
        nn.utils.clip_grad_norm_(members.parameters(), limit)
        return
    length = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0).sqrt()
    scale = (limit / (length + 1e-6)).clamp(max=1.0)
    for g in gradients:
        g.mul_(scale.view(-1, *[1] * (g.ndim - 1)))


@torch.no_grad()
def move_average(average: nn.Module, module: nn.Module, decay: float) -> None:
    """average <- decay * average + (1 - decay) * module, weights and running statistics alike.

    Source: B. Polyak and A. Juditsky, 1992, doi 10.1137/0330046.
    """
    theirs = module.state_dict()
    for name, mine in average.state_dict().items():
        if mine.is_floating_point():
            mine.lerp_(theirs[name], 1 - decay)
        else:
            mine.copy_(theirs[name])
