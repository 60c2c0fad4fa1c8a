"""Follow the gradient, with momentum."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks._losses import cross_entropy
from labkit.attacks._search import Best, climb, column, direction, project
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def momentum(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: Literal["linf", "l2"],
    *,
    steps: Annotated[int, Range(1, 1000, log=True), "gradient steps"] = 20,
    decay: Annotated[float, Range(0, 2), "how much of the last direction is kept"] = 1.0,
    reach: Annotated[float, Range(0.1, 20), "length of all steps together, in units of eps"] = 2.5,
) -> Tensor:
    """Steps along a running sum of the gradients of the cross-entropy, and keeps the best point of each row on the way.

    Each gradient is divided by the sum of its absolute values before it is added. What it finds fools other models more
    often than what PGD finds. The paper's own steps add up to ``eps`` (``reach=1``).

    Source: Dong et al., 2018, arXiv 1710.06081.
    """
    assert model.bounds
    best, points, memory = Best(x, y), x, torch.zeros_like(x)
    for _ in range(steps):
        rows = best.rows
        if not len(rows):
            return best.points
        z = points.detach().clone().requires_grad_()
        logits = model(z)
        keep = best.offer(z.detach(), logits.detach())
        gradient = climb(cross_entropy(logits.float(), y[rows]).sum(), z)
        gradient = gradient / column(gradient.flatten(1).abs().sum(1).clamp_min(1e-30), gradient)
        memory = (decay * memory + gradient)[keep]
        points = z.detach()[keep] + reach * eps / steps * direction(memory, norm)
        points = project(points, x[best.rows], eps, norm, model.bounds)
    if len(best.rows):
        with torch.no_grad():
            best.offer(points, model(points))
    return best.points
