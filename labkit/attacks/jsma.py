"""The Jacobian saliency map attack."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks._nearest import Nearest, asked
from labkit.attacks._search import climb
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def jsma(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    norm: Literal["l0"],
    *,
    share: Annotated[float, Range(1e-4, 1, log=True), "share of the values of a row that may be changed"] = 0.2,
    targets: Annotated[
        int, Range(1, 1000, log=True), "wrong classes aimed at one after another, the likeliest first"
    ] = 3,
) -> Tensor:
    """Moves one value after another to its bound: the one that most lifts the target's logit and lowers all others.

    Both effects count as the gradient says, times the room that the value has; a value that lifts both is passed over,
    and each is moved once. A row is done with a target where the answer is wrong, where no value helps, or where as many
    values were changed as with an earlier target. It looks for the fewest changes, so it names no budget.

    Source: Papernot et al., 2016, arXiv 1511.07528 (one value at a time, up or down); on logits, as Carlini and Wagner,
    2017, arXiv 1608.04644.
    """
    nearest, most = Nearest(x, y, norm), math.ceil(share * x[0].numel())
    with torch.no_grad():
        logits = model(x)
    likely = logits.nan_to_num(-torch.inf).scatter(1, y[:, None], -torch.inf)
    for target in likely.topk(min(targets, logits.shape[1] - 1)).indices.unbind(1):
        rows, points = nearest.all, x
        moved = torch.zeros_like(x, dtype=torch.bool)
        for step in range(most + 1):
            z, logits = asked(model, points)
            nearest.offer(z, logits, rows)
            place, value, helps = _next(model, z, logits, target[rows], moved)
            on = helps & (step + 1 < nearest.distance[rows])
            if step == most or not on.any():
                break
            rows, place = rows[on], place[on, None]
            points = points[on].flatten(1).scatter(1, place, value[on, None]).view(-1, *x.shape[1:])
            moved = moved[on].flatten(1).scatter(1, place, True).view_as(points)
    return nearest.tightened(model)


def _next(model: Classifier, z: Tensor, logits: Tensor, target: Tensor, moved: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each row the place of the value to move, the bound that it goes to, and whether that helps."""
    assert model.bounds
    low, high = model.bounds
    aim = logits.gather(1, target[:, None]).sum()
    lifts, others = climb(aim, z, again=True), climb(logits.sum() - aim, z)
    up = lifts > 0
    room = torch.where(up, high - z, z - low)
    gain = torch.where((lifts * others < 0) & ~moved, -lifts * others * room**2, 0.0).detach().flatten(1)
    most, place = gain.max(1)
    bound = torch.where(up, high, low).to(z.dtype).flatten(1).gather(1, place[:, None])[:, 0]
    return place, bound, most > 0
