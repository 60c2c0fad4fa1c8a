"""Fast minimum-norm attacks."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks._losses import margin
from labkit.attacks._nearest import Nearest, asked, cosine, unit
from labkit.attacks._search import climb, column, direction, distance, l2, project
from labkit.core.method import Range
from labkit.models.classifier import Classifier

_DUAL = {"linf": 1.0, "l2": 2.0, "l1": torch.inf, "noise_to_signal": 2.0}


def fmn(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    norm: Literal["linf", "l2", "l1", "l0", "noise_to_signal"],
    *,
    steps: Annotated[int, Range(1, 10_000, log=True), "gradient steps"] = 100,
    step_size: Annotated[float, Range(1e-3, 100, log=True), "first step; 1 is the range, for signals -20 dB"] = 1.0,
    change: Annotated[float, Range(1e-3, 0.5, log=True), "first share by which the radius shrinks or grows"] = 0.05,
) -> Tensor:
    """Climbs the margin in a ball that shrinks while the answer is wrong and grows while it is not.

    Until a row is broken its radius is the distance at which a linear model would be: the way so far, and the lead over
    the dual norm of its gradient. Steps go along the gradient, in Euclidean length, under "linf" along its sign, and
    shrink along a cosine as the change of the radius does. It looks for the smallest perturbation, so it names no budget.

    Source: Pintor, Roli, Brendel and Biggio, 2021, arXiv 2102.12827; on smooth models the sign
    finds points a third as far as the gradient over its length, and under "l0" the first radius is as many values as a
    linear model would need.
    """
    nearest, length = Nearest(x, y, norm), unit(model, x, norm)
    points, radius = x, torch.zeros_like(nearest.distance)
    for step in range(steps + 1):
        z, logits = asked(model, points)
        wrong = nearest.offer(z, logits)
        if step == steps:
            break
        lead = margin(logits, y)
        slope = climb(lead.sum(), z)
        share = cosine(step, steps, change, 0.001)
        radius = _radius(nearest, radius, wrong, share, _linear(model, points, x, lead.detach().abs(), slope, norm))
        towards = column(cosine(step, steps, 1.0, 0.01) * step_size * length, x) * direction(
            slope, "linf" if norm == "linf" else "l2"
        )
        points = project(points + towards, x, radius, norm, model.bounds)
    return nearest.tightened(model)


def _linear(model: Classifier, points: Tensor, x: Tensor, lead: Tensor, slope: Tensor, norm: str) -> Tensor:
    """(n,) how far the boundary would be from x if the lead went on as its slope says."""
    if norm != "l0":
        dual = slope.flatten(1).norm(p=_DUAL[norm], dim=1).clamp_min(1e-30)
        away = lead / dual / (l2(x).clamp_min(1e-30) if norm == "noise_to_signal" else 1)
        return distance(points, x, norm) + away
    assert model.bounds
    room = torch.where(slope > 0, model.bounds[1] - points, points - model.bounds[0])
    gain = (slope.abs() * room).flatten(1).sort(dim=1, descending=True).values.cumsum(1)
    return distance(points, x, norm) + 1 + (gain < lead[:, None]).sum(1)


def _radius(nearest: Nearest, radius: Tensor, wrong: Tensor, share: float, linear: Tensor) -> Tensor:
    """(n,) the next radius; under "l0" it changes by one value at least."""
    less, more = radius * (1 - share), radius * (1 + share)
    if nearest.norm == "l0":
        less, more = torch.minimum(less.floor(), radius - 1).clamp_min(1), torch.maximum(more.floor(), radius + 1)
    more = torch.where(nearest.distance.isfinite(), more, torch.maximum(more, linear))
    return torch.where(wrong, torch.minimum(less, nearest.distance), more)
