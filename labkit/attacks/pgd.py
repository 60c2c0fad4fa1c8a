"""Projected gradient descent."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks._losses import LOSSES
from labkit.attacks._search import Best, climb, column, direction, inside, project, radii
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier

# Under "l0" the gradient says which values to change and the bounds how far: a step is many input ranges long.
FAR = 20


def pgd(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: Literal["linf", "l2", "l1", "l0", "noise_to_signal"],
    generator: Draws,
    *,
    steps: Annotated[int, Range(1, 1000, log=True), "gradient steps after each start"] = 20,
    restarts: Annotated[int, Range(1, 100, log=True), "how often to start again, on the rows that still stand"] = 4,
    loss: Annotated[Literal["alternate", "cross_entropy", "margin", "dlr"], "what is climbed"] = "alternate",
    random_start: Annotated[bool, "begin at a random point of the ball; if not, the first start is x"] = True,
) -> Tensor:
    """Climbs the loss within the ball and keeps the best point of each row on the way.

    Steps shrink linearly from a quarter of the ball's width and add up to at least that width, so any point of the
    ball can be reached, in one step or in a thousand. A row that is broken leaves. "alternate" climbs the
    cross-entropy in the first start, the margin (best wrong logit minus true logit) in the second, and so on: the
    first finds more, the second does not vanish where a confident model saturates; "dlr" is the margin over the lead of
    the largest logit over the third. Under "l1" a step goes along the largest gradients alone, under "l0" all values
    move, by steps of many input ranges, and within the bounds the changes that bring most stay.

    Source: Madry et al., 2018, arXiv 1706.06083; margin loss: Carlini and Wagner, 2017, arXiv 1608.04644; "dlr": Croce
    and Hein, 2020, arXiv 2003.01690; best iterate kept: Pintor et al., 2022, arXiv 2106.09947; "l1": Tramer and Boneh,
    2019, arXiv 1904.13000; "l0": Croce and Hein, 2019, arXiv 1909.05040.
    """
    best, bounds = Best(x, y), model.bounds
    scale = radii(x, eps, norm)
    if norm == "l0" and bounds:
        scale = torch.full_like(scale, FAR * (bounds[1] - bounds[0]))
    for restart in range(restarts):
        rows = best.rows
        start = inside(generator.spawn(restart), x, eps, norm, bounds)[rows] if random_start or restart else x[rows]
        points = project(start, x[rows], eps, norm, bounds)
        climbed = LOSSES[("cross_entropy", "margin")[restart % 2] if loss == "alternate" else loss]
        for step in range(steps + 1):
            rows = best.rows
            if not len(rows):
                return best.points
            z = points.detach().requires_grad_(step < steps)
            with torch.set_grad_enabled(step < steps):
                logits = model(z)
            keep = best.offer(z.detach(), logits.detach())
            if step == steps:
                break
            towards = direction(climb(climbed(logits.float(), y[rows]).sum(), z), norm, z.detach(), bounds)
            points = z.detach() + _size(step, steps) * column(scale[rows], x) * towards
            points = project(points[keep], x[best.rows], eps, norm, bounds)
    return best.points


def _size(step: int, steps: int) -> float:
    """Length of a step in units of eps: linear from 0.5 (more when steps are few), summing to at least 2."""
    return max(0.5, 4 / (steps + 1)) * (1 - step / steps)
