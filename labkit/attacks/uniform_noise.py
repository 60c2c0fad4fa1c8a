"""Random noise: the control that any attack must beat."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks._search import Best, Bounds, column, direction, drawn, inside, project, radii
from labkit.attacks._squares import scattered
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def uniform_noise(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: Literal["linf", "l2", "l1", "l0", "noise_to_signal"],
    generator: Draws,
    *,
    draws: Annotated[int, Range(1, 10_000, log=True), "random points tried for each row"] = 50,
) -> Annotated[Tensor, "queries"]:
    """The most adversarial of ``draws`` random points in the ball; rows leave when broken.

    Even draws are uniform in the ball, odd ones lie on its rim: a corner of the cube under "linf", a uniform direction
    at full length under "l2", the budget spread over a twentieth of the values under "l1", values at a bound under "l0".
    A model that noise breaks and gradients do not hides its gradients (Carlini et al., 2019, arXiv 1902.06705, who ask
    for 10,000 draws before saying that noise fails).
    """
    best = Best(x, y)
    for draw in range(draws):
        rows = best.rows
        if not len(rows):
            break
        here, stream = x[rows], generator[rows.cpu().numpy()].spawn(draw)
        points = (_rim if draw % 2 else inside)(stream, here, eps, norm, model.bounds)
        points = project(points, here, eps, norm, model.bounds)
        with torch.no_grad():
            best.offer(points, model(points))
    return best.points


def _rim(generator: Draws, x: Tensor, eps: float, norm: str, bounds: Bounds) -> Tensor:
    if norm == "l0":
        return x + scattered(generator, x, eps, bounds)
    way = direction(drawn(generator.normal(*x.shape[1:]), x), norm, x, bounds)
    return x + column(radii(x, eps, norm), x) * way
