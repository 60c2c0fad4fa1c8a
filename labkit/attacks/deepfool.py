"""DeepFool: to the nearest boundary of the model's linearization, again and again."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks._nearest import SURE, Nearest, asked
from labkit.attacks._search import climb, column, direction
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def deepfool(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    norm: Literal["linf", "l2", "noise_to_signal"],
    *,
    steps: Annotated[int, Range(1, 1000, log=True), "linearizations, at most; a row that is broken needs no more"] = 50,
    candidates: Annotated[
        int, Range(1, 1000, log=True), "wrong classes looked at in each step, the likeliest first"
    ] = 5,
    overshoot: Annotated[float, Range(0, 1), "share by which the way so far is lengthened"] = 0.02,
) -> Tensor:
    """Steps to the nearest class boundary of a linear model with the same values and gradients, until the answer is wrong.

    The distance to the boundary with class k is the lead over k divided by the dual norm of the lead's gradient; a
    step goes to the nearest of the candidates, which are chosen anew in every step. On a linear model one step is
    exact, as long as the bounds are not met. It looks for the smallest perturbation, so it names no budget.

    Source: Moosavi-Dezfooli, Fawzi and Frossard, 2016, arXiv 1511.04599.
    """
    nearest = Nearest(x, y, norm)
    rows, points, way = nearest.all, x, torch.zeros_like(x)
    for step in range(steps + 1):
        z, logits = asked(model, points)
        stand = ~nearest.offer(z, logits, rows)
        if step == steps or not stand.any():
            break
        move = _move(z, logits, y[rows], candidates, norm)
        rows, way = rows[stand], (way + move)[stand]
        points = x[rows] + (1 + overshoot) * way
        points = points if model.bounds is None else points.clamp(*model.bounds)
    return nearest.tightened(model)


def _move(z: Tensor, logits: Tensor, y: Tensor, candidates: int, norm: str) -> Tensor:
    """For each row the shortest way to a boundary, nothing where no gradient shows one."""
    true = logits.gather(1, y[:, None])
    wrong = logits.detach().scatter(1, y[:, None], -torch.inf).topk(min(candidates, logits.shape[1] - 1)).indices
    best, move = torch.full((len(z),), torch.inf, device=z.device), torch.zeros_like(z)
    for lead in (true - logits.gather(1, wrong)).unbind(1):
        down = -climb(lead.sum(), z, again=True)
        dual = down.flatten(1).norm(p=1 if norm == "linf" else 2, dim=1)
        # to just beyond the boundary: a step that ends on it would be the last one, and no answer would be wrong
        away = (lead.detach().abs() + 2 * SURE * logits.detach().abs().amax(1)) / dual
        nearer = away < best
        best = torch.where(nearer, away, best)
        move = torch.where(column(nearer, z), column(away, z) * direction(down, norm), move)
    return move
