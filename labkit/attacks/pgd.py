"""Projected gradient descent."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.attacks._search import Best, climb, direction, inside, margin, project
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def pgd(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: Literal["linf", "l2"],
    generator: Draws,
    *,
    steps: Annotated[int, Range(1, 1000, log=True), "gradient steps after each start"] = 20,
    restarts: Annotated[int, Range(1, 100, log=True), "how often to start again, on the rows that still stand"] = 4,
    loss: Annotated[Literal["alternate", "cross_entropy", "margin"], "what is climbed"] = "alternate",
    random_start: Annotated[bool, "begin at a random point of the ball; if not, the first start is x"] = True,
) -> Tensor:
    """Climbs the loss within the ball and keeps the best point of each row on the way.

    Steps shrink linearly from a quarter of the ball's width and add up to at least that width, so any point of the
    ball can be reached, in one step or in a thousand. A row that is broken leaves. "alternate" climbs the
    cross-entropy in the first start, the margin (best wrong logit minus true logit) in the second, and so on: the
    first finds more, the second does not vanish where a confident model saturates.

    Source: Madry et al., 2018, arXiv 1706.06083; margin loss: Carlini and Wagner, 2017, arXiv 1608.04644; best
    iterate kept: Pintor et al., 2022, arXiv 2106.09947.
    """
    assert model.bounds
    best = Best(x, y)
    for restart in range(restarts):
        rows = best.rows
        start = inside(generator.spawn(restart), x, eps, norm)[rows] if random_start or restart else x[rows]
        points = project(start, x[rows], eps, norm, model.bounds)
        for step in range(steps + 1):
            if not len(best.rows):
                return best.points
            rows = best.rows
            with torch.set_grad_enabled(step < steps):
                z = points.detach().requires_grad_(step < steps)
                logits = model.relax(x[rows])[1](z)
            keep = best.offer(z.detach(), logits.detach())
            if step == steps:
                break
            if loss == "margin" or (loss == "alternate" and restart % 2):
                climbed = margin(logits, y[rows]).nan_to_num(0.0, neginf=0.0).sum()
            else:
                climbed = F.cross_entropy(logits.float(), y[rows], reduction="sum")
            towards = direction(climb(climbed, z)[keep], norm)
            points = z.detach()[keep] + _size(step, steps) * eps * towards
            points = project(points, x[best.rows], eps, norm, model.bounds)
    return best.points


def _size(step: int, steps: int) -> float:
    """Length of a step in units of eps: linear from 0.5 (more when steps are few), summing to at least 2."""
    return max(0.5, 4 / (steps + 1)) * (1 - step / steps)
