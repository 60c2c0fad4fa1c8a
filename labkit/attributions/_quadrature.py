"""The integral of the target's gradient along a path of each row, with as many points as that row needs.

A pass gives the logit of a point together with its gradient, so the exact change over every interval is known and the
miss of the trapezoid rule can be told interval by interval: only intervals that miss are halved. A network of ReLUs
changes its slope in a few places of the line, and the points gather there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from labkit.attributions._passes import score_and_gradient
from labkit.models.classifier import Classifier

# Rows and places from 0 to 1 -> the points there, and how fast each moves.
Path = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

UNDER_WAY = 8  # so many rows of a pass make one row under way: each has several points in a pass
KEPT = 256  # points whose gradients a row keeps until their weights are known; a row with more computes them again
NARROWEST = 2.0**-14  # no interval is halved further: what is still missed is a jump
SHARE = 0.25  # of a row's largest miss, from which an interval is halved too: fewer rounds at a few points more


@dataclass(frozen=True, eq=False)
class Integral:
    """Values (n, ...) in float64, the intervals that each row took, and the change of its logit over the path."""

    values: Tensor
    steps: Tensor
    change: Tensor


def integrate(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    path: Path,
    grid: Tensor,
    *,
    tolerance: float,
    max_steps: int,
    batch_size: int,
) -> Integral:
    """The gradient times the path's velocity, integrated from 0 to 1.

    A row is done when its values add up to the change of its logit within ``tolerance`` of that change, and so does the
    root of the sum of the squared misses of its intervals: misses of both signs that happen to cancel end nothing.
    Otherwise its worst intervals are halved, and every row under way has its new points in the same passes. None takes
    more than ``batch_size`` points.

    Args:
        grid: the places, from 0 to 1, of the first round.
    """
    parts = []
    for rows in torch.arange(len(x), device=x.device).split(max(1, batch_size // UNDER_WAY)):
        lines = _Lines(model, x[rows], target[rows], path, rows, batch_size)
        row = torch.arange(len(rows), device=x.device).repeat_interleave(len(grid))
        at = grid.to(x.device).repeat(len(rows))
        while len(row):
            lines.add(row, at)
            row, at = lines.missing(tolerance, max_steps)
        parts.append(lines.integral())
    return Integral(*(torch.cat([getattr(p, f) for p in parts]) for f in ("values", "steps", "change")))


def even(steps: int) -> Tensor:
    """The ends of so many equal steps from 0 to 1."""
    return torch.linspace(0, 1, steps + 1, dtype=torch.float64)


@dataclass(eq=False)
class _Lines:
    """The points known so far on the paths of a few rows, in the order in which they were computed.

    Attributes:
        numbers: which rows of the path these are.
        row, at: (points,) of which row each point is, and where.
        level, rate: (points,) the target's logit there and its derivative along the path.
        kept: pairs of points' numbers and their products of gradient and velocity.
    """

    model: Classifier
    x: Tensor
    target: Tensor
    path: Path
    numbers: Tensor
    batch_size: int
    row: Tensor = field(init=False)
    at: Tensor = field(init=False)
    level: Tensor = field(init=False)
    rate: Tensor = field(init=False)
    kept: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.row = torch.zeros(0, dtype=torch.int64, device=self.x.device)
        self.at, self.level, self.rate = (torch.zeros(0, dtype=torch.float64, device=self.x.device) for _ in range(3))

    def add(self, row: Tensor, at: Tensor) -> None:
        """Compute these points."""
        known = len(self.row)
        self.row, self.at = torch.cat([self.row, row]), torch.cat([self.at, at])
        few = self._count() <= KEPT
        for points in torch.arange(known, len(self.row), device=row.device).split(self.batch_size):
            level, product = self._pass(points)
            self.level = torch.cat([self.level, level.double()])
            self.rate = torch.cat([self.rate, product.flatten(1).sum(1, dtype=torch.float64)])
            keep = few[self.row[points]]
            self.kept.append((points[keep], product[keep]))

    def missing(self, tolerance: float, max_steps: int) -> tuple[Tensor, Tensor]:
        """Rows and places of the points that are still needed."""
        left, right, width = self._intervals()
        row, rise = self.row[left], self.level[right] - self.level[left]
        miss = width * (self.rate[left] + self.rate[right]) / 2 - rise
        gap, spread = self._sums(row, miss).abs(), self._sums(row, miss.square()).sqrt()
        # below the rounding of the logits themselves nothing can be asked for
        rounding = 8 * torch.finfo(self.x.dtype if self.x.is_floating_point() else torch.float32).eps
        largest = torch.zeros_like(gap).scatter_reduce_(0, self.row, self.level.abs(), "amax")
        bound = torch.maximum(tolerance * self._sums(row, rise).abs(), rounding * largest)
        wide = width > NARROWEST
        worst = torch.zeros_like(gap).scatter_reduce_(0, row, miss.abs() * wide, "amax")
        halved = wide & (torch.maximum(gap, spread) > bound)[row] & (miss.abs() >= SHARE * worst[row])
        steps = self._count() - 1 + torch.bincount(row[halved], minlength=len(self.x))
        halved &= (steps <= max_steps)[row]
        return row[halved], (self.at[left] + self.at[right])[halved] / 2

    def integral(self) -> Integral:
        """The trapezoid rule over all intervals."""
        left, right, width = self._intervals()
        weight = torch.zeros_like(self.at)
        weight[left] += width / 2
        weight[right] += width / 2
        values = torch.zeros(len(self.x), *self.kept[0][1].shape[1:], dtype=torch.float64, device=self.x.device)
        few = self._count() <= KEPT
        for points, product in self.kept:
            mine = few[self.row[points]]
            self._weigh(values, points[mine], product[mine], weight)
        again = (~few[self.row]).nonzero()[:, 0]
        for i in range(0, len(again), self.batch_size):
            points = again[i : i + self.batch_size]
            self._weigh(values, points, self._pass(points)[1], weight)
        change = self._sums(self.row[left], self.level[right] - self.level[left])
        return Integral(values, self._count() - 1, change)

    def _weigh(self, values: Tensor, points: Tensor, product: Tensor, weight: Tensor) -> None:
        share = weight[points].reshape(-1, *[1] * (product.ndim - 1))
        values.index_add_(0, self.row[points], product.double() * share)

    def _pass(self, points: Tensor) -> tuple[Tensor, Tensor]:
        row = self.row[points]
        z, velocity = self.path(self.numbers[row], self.at[points])
        _, forward = self.model.relax(self.x[row])
        level, slope = score_and_gradient(forward, z, self.target[row])
        return level, slope * velocity

    def _intervals(self) -> tuple[Tensor, Tensor, Tensor]:
        """The points at the two ends of each interval, and its width."""
        order = (2 * self.row + self.at).argsort()
        left, right = order[:-1], order[1:]
        same = self.row[left] == self.row[right]
        left, right = left[same], right[same]
        return left, right, self.at[right] - self.at[left]

    def _count(self) -> Tensor:
        return torch.bincount(self.row, minlength=len(self.x))

    def _sums(self, row: Tensor, values: Tensor) -> Tensor:
        return torch.zeros(len(self.x), dtype=torch.float64, device=values.device).index_add_(0, row, values)
