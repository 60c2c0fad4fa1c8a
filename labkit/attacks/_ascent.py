"""Projected gradient ascent that sets its own step size: what both APGD attacks run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from math import ceil

import torch
from torch import Tensor

from labkit.attacks._losses import Loss
from labkit.attacks._search import Best, Bounds, climb, column, direction, distance, inside, project, radii
from labkit.core.draws import Draws
from labkit.models.classifier import Classifier

RISING = 0.75  # a window in which the loss rose in a smaller share of the steps halves the step
KEPT = 0.75  # how much of a step is taken; the rest follows the step before
# Under "l1": the share of the values that a first step moves, and what the share and the step are divided by later.
FIRST_SHARE, SPARSER, SHORTEST = 0.2, 1.5, 0.1
WIDER = ((3, 0.3), (2, 0.3), (1, 0.4))  # under "l1": how much larger the ball is, for which part of the steps


def checkpoints(steps: int, norm: str) -> set[int]:
    """After which steps the step size is looked at: ever more often; under "l1" after every 25th part."""
    if norm == "l1":
        return set(range(max(1, int(0.04 * steps)), steps, max(1, int(0.04 * steps))))
    last, at, found = 0.0, 0.22, set()
    while at < 1:
        found.add(ceil(round(at * steps, 6)))  # 0.22 + 0.19 is a little more than 0.41
        last, at = at, at + max(at - last - 0.03, 0.06)
    return found


@dataclass
class Climber:
    """Where each row stands, one entry a row in every field."""

    x: Tensor
    labels: Tensor  # (n, 1) true classes, or (n, 2) with the class aimed at beside
    eps: Tensor
    points: Tensor
    before: Tensor
    step: Tensor
    loss: Tensor  # at the last point
    top: Tensor  # the best loss so far, its point, and the gradient there
    top_points: Tensor
    top_gradient: Tensor
    top_checked: Tensor  # the best loss at the last checkpoint
    rises: Tensor
    halved: Tensor  # at the last checkpoint
    share: Tensor
    moved: Tensor  # how many values the best point moved, at the last checkpoint

    @classmethod
    def at(cls, start: Tensor, x: Tensor, labels: Tensor, eps: Tensor, norm: str, *, again: bool) -> Climber:
        """Rows at their start, with the longest steps; ``again``: a start that a climb has come to, in a larger ball."""
        none, size = torch.zeros_like(eps), x[0].numel()
        longest = radii(x, eps, norm) * (1 if norm == "l1" else 2)
        moved = distance(start, x, "l0").to(eps) if again else torch.full_like(eps, size)
        share = moved / size / SPARSER if again else torch.full_like(eps, FIRST_SHARE)
        least, blank = torch.full_like(eps, -torch.inf), torch.zeros_like(x)
        return cls(
            x, labels, eps, start, start, longest, -least, least, start, blank, least, none, none.bool(), share, moved
        )

    def keep(self, rows: Tensor) -> None:
        """Let the other rows go."""
        if not rows.all():
            for field in fields(self):
                setattr(self, field.name, getattr(self, field.name)[rows])

    def move(self, gradient: Tensor, norm: str, bounds: Bounds, *, first: bool) -> None:
        """A step along the gradient, and some of the step before."""
        way = direction(gradient, norm, self.points, bounds, self.share)
        ahead = project(self.points + column(self.step, way) * way, self.x, self.eps, norm, bounds)
        if norm != "l1":
            kept = 1.0 if first else KEPT
            ahead = self.points + kept * (ahead - self.points) + (1 - kept) * (self.points - self.before)
            ahead = project(ahead, self.x, self.eps, norm, bounds)
        self.points, self.before = ahead, self.points

    def judge(self, loss: Tensor, gradient: Tensor) -> None:
        """Remember whether the loss rose, and the best point."""
        self.rises = self.rises + (loss > self.loss)
        better = loss > self.top
        self.loss, self.top = loss, torch.where(better, loss, self.top)
        self.top_points = torch.where(column(better, self.x), self.points, self.top_points)
        self.top_gradient = torch.where(column(better, self.x), gradient, self.top_gradient)

    def check(self, gradient: Tensor, window: int, norm: str) -> Tensor:
        """Shorter steps where these lead nowhere, which go on from the best point; returns the gradients to follow."""
        if norm == "l1":
            moved = distance(self.top_points, self.x, "l0").to(self.moved)
            restart = moved < 0.95 * self.moved
            longest = radii(self.x, self.eps, norm)
            shorter = torch.maximum(self.step / SPARSER, SHORTEST * longest)
            self.step = torch.where(restart, longest, shorter)
            self.share, self.moved = moved / self.x[0].numel() / SPARSER, moved
        else:
            stalled = ~self.halved & (self.top <= self.top_checked)
            restart = (self.rises < RISING * window) | stalled
            self.step = torch.where(restart, self.step / 2, self.step)
            self.halved, self.top_checked = restart, self.top
            self.rises = torch.zeros_like(self.rises)
        self.points = torch.where(column(restart, self.x), self.top_points, self.points)
        self.loss = torch.where(restart, self.top, self.loss)
        return torch.where(column(restart, self.x), self.top_gradient, gradient)


def attempt(
    model: Classifier,
    loss: Loss,
    best: Best,
    x: Tensor,
    labels: Tensor,
    eps: float,
    norm: str,
    generator: Draws,
    steps: int,
) -> None:
    """One climb for the rows that stand, from a random point of the ball; under "l1" of larger balls first.

    ``labels`` (n, 1 or 2) are what ``loss`` is given beside the logits: true classes, and classes aimed at.
    """
    rows = best.rows
    if not len(rows):
        return
    here, start = x[rows], inside(generator[rows.cpu().numpy()], x[rows], eps, norm)
    for phase, (wider, part) in enumerate(WIDER if norm == "l1" else ((1, 1.0),)):
        radius = torch.full((len(rows),), wider * eps, device=x.device)
        start = project(start, here, radius, norm, model.bounds)
        climber = Climber.at(start, here, labels[rows], radius, norm, again=phase > 0)
        ascend(model, loss, climber, norm, ceil(part * steps), best.offer if wider == 1 else _everyone)
        start = climber.top_points


def _everyone(points: Tensor, logits: Tensor) -> Tensor:
    return torch.ones(len(points), dtype=torch.bool, device=points.device)


def ascend(
    model: Classifier,
    loss: Loss,
    climber: Climber,
    norm: str,
    steps: int,
    offer: Callable[[Tensor, Tensor], Tensor],
) -> None:
    """Climb the loss for some steps. ``offer`` is shown all points and logits and tells which rows go on.

    The step size begins at the ball's width and is halved for a row where the loss rose too seldom since the last
    checkpoint, or where the best loss is still what it was; the row then goes on from its best point. Under "l1" it is the
    number of values that a step moves that adapts, to what the best point moved.

    Source: Croce and Hein, 2020, arXiv 2003.01690 (algorithm 1); "l1": the same, 2021, arXiv 2103.01208.
    """
    bounds, checked, last = model.bounds, checkpoints(steps, norm), 0
    for step in range(steps + 1):
        z = climber.points.detach().clone().requires_grad_(step < steps)
        with torch.set_grad_enabled(step < steps):
            logits = model(z)
            values = loss(logits.float(), *climber.labels.unbind(1))
        going = offer(z.detach(), logits.detach())
        gradient = climb(values.sum(), z)
        climber.judge(values.detach().nan_to_num(-torch.inf), gradient)
        climber.keep(going)
        if step == steps or not len(climber.x):
            return
        gradient = gradient[going]
        if step in checked:
            gradient, last = climber.check(gradient, step - last, norm), step
        climber.move(gradient, norm, bounds, first=step == 0)
