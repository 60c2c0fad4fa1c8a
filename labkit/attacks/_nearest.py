"""What attacks that look for the smallest perturbation share: the nearest point kept, and a weight found by bisection."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from labkit.attacks import _losses
from labkit.attacks._search import climb, column, distance, l2, margin, project
from labkit.models.classifier import Classifier

# Wrong by this share of the largest logit: enough to stay wrong in another batch, too little to cost distance.
SURE = 1e-4
HALVINGS = 10


class Nearest:
    """The nearest point answered wrongly that was seen for each row; rows without one keep their input."""

    def __init__(self, x: Tensor, y: Tensor, norm: str) -> None:
        self.x, self.y, self.norm = x, y, norm
        self.points = x.clone()
        self.distance = torch.full((len(x),), torch.inf, device=x.device)
        self.all = torch.arange(len(x), device=x.device)

    def offer(self, points: Tensor, logits: Tensor, rows: Tensor | None = None) -> Tensor:
        """Take the points (one for each of ``rows``, or for all) that are wrong and nearer; a mask of the wrong ones."""
        rows = self.all if rows is None else rows
        points, logits = points.detach(), logits.detach().float()
        wrong = margin(logits, self.y[rows]) > SURE * logits.abs().amax(1)
        away = distance(points, self.x[rows], self.norm).float()
        better = wrong & (away < self.distance[rows])
        at = rows[better]
        self.points[at], self.distance[at] = points[better], away[better]
        return wrong

    def tightened(self, model: Classifier) -> Tensor:
        """The points after a bisection: the smallest ball around each row in which the projection is still wrong."""
        rows = self.all[self.distance.isfinite() & (self.distance > 0)]
        low, high = torch.zeros_like(self.distance), self.distance.clone()
        for _ in range(HALVINGS if len(rows) else 0):
            tried = (low[rows] + high[rows]) / 2
            points = project(self.points[rows], self.x[rows], tried, self.norm, model.bounds)
            with torch.no_grad():
                wrong = self.offer(points, model(points), rows)
            low[rows], high[rows] = torch.where(wrong, low[rows], tried), torch.where(wrong, tried, high[rows])
        return self.points


def asked(model: Classifier, points: Tensor) -> tuple[Tensor, Tensor]:
    """Points in which gradients can be taken, and the model's logits there."""
    z = points.detach().clone().requires_grad_()
    return z, model.relax(points)[1](z)


def unit(model: Classifier, x: Tensor, norm: str) -> Tensor:
    """(n,) the length that steps are measured by: an input's whole range, or a tenth of the row's length for signals."""
    if norm == "noise_to_signal":
        return 0.1 * l2(x).clamp_min(1e-30)
    assert model.bounds
    return torch.full((len(x),), model.bounds[1] - model.bounds[0], dtype=x.dtype, device=x.device)


def cosine(step: int, steps: int, first: float, last: float) -> float:
    """From ``first`` to ``last`` along half a cosine."""
    return last + (first - last) * (1 + math.cos(math.pi * step / steps)) / 2


class Walk(Protocol):
    """A way from every row towards a near point answered wrongly."""

    @property
    def points(self) -> Tensor:
        """(n, *shape) where it is, within the bounds."""

    def cost(self) -> Tensor:
        """(n,) what the distance of the points counts."""

    def step(self, slope: Tensor) -> None:
        """Go on, given the slope of the weighted lead at the points."""

    def keep(self, rows: Tensor) -> None:
        """Go on with some rows alone."""


def weighed(
    model: Classifier,
    nearest: Nearest,
    begin: Callable[[], Walk],
    *,
    searches: int,
    steps: int,
    weight: float,
    patience: int,
) -> Tensor:
    """Walks down the cost plus a weight times the true class's lead, while it leads, for several weights a row.

    The lead counts in units of the row's own at the start, so that weights mean the same for every model. The weight is
    less after a walk that broke the row and more after one that did not: by tens, then by the geometric middle. A row
    whose least sum falls by less than a ten-thousandth in ``patience`` steps waits for its next weight.
    """
    with torch.no_grad():
        first = (-_losses.margin(model(nearest.x), nearest.y)).clamp_min(1e-12)
    now = torch.full_like(nearest.distance, weight)
    low, high = torch.zeros_like(now), torch.full_like(now, torch.inf)
    for _ in range(searches):
        walk, rows = begin(), nearest.all
        broken = torch.zeros_like(rows, dtype=torch.bool)
        least = before = torch.full_like(now, torch.inf)
        for step in range(steps + 1):
            z, logits = asked(model, walk.points)
            broken[rows] |= nearest.offer(z, logits, rows)
            lead = (-_losses.margin(logits, nearest.y[rows])).clamp_min(0) / first[rows]
            total = (walk.cost() + now[rows] * lead).detach()
            least = least.index_copy(0, rows, torch.minimum(least[rows], total))
            walk.step(column(now[rows], z) * climb(lead.sum(), z))
            if step % patience == 0:
                falling, before = least[rows] < 0.9999 * before[rows], least
                walk.keep(falling)
                rows = rows[falling]
            if not len(rows):
                break
        low, high = torch.where(broken, low, now), torch.where(broken, now, high)
        now = torch.where(high.isfinite(), torch.where(low > 0, (low * high).sqrt(), high / 10), low * 10)
    return nearest.tightened(model)
