"""What attacks that see answers alone share: a first wrong point for each row, and the way back to the boundary."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from labkit.attacks._nearest import Nearest
from labkit.attacks._search import Bounds, column, distance, drawn, project
from labkit.core.draws import Draws
from labkit.models.classifier import Classifier

FURTHER = 12  # tries of a row that has a wrong point already
COARSE = 4  # halvings for a point that may not be the last
CLOSER = 0.95  # a further point must be wrong at this share of the distance
BLOCK = 4


class Answers:
    """A model that is only asked whether a point is answered wrongly; the nearest wrong point of each row is kept."""

    def __init__(self, model: Classifier, x: Tensor, y: Tensor, norm: str, batch_size: int) -> None:
        self.model, self.x, self.norm, self.batch_size = model, x, norm, batch_size
        self.nearest = Nearest(x, y, norm)

    def wrong(self, points: Tensor, rows: Tensor) -> Tensor:
        """(k, n) whether each of (k, n, *shape) points of the ``rows`` is answered wrongly, in as few passes as may be."""
        with torch.no_grad():
            logits = torch.cat([self.model(part) for part in points.flatten(0, 1).split(self.batch_size)])
        return torch.stack([self.nearest.offer(p, z, rows) for p, z in zip(points, logits.split(len(rows)))])

    def begin(self, generator: Draws, tries: int) -> Tensor:
        """The rows for which one of ``tries`` random points is answered wrongly; their nearest ones are at the boundary.

        A further point counts where it is still wrong when cut to the distance of the one before, which takes one answer.
        Rows with a point take ``FURTHER`` tries, the others all of them.
        """
        nearest, rows = self.nearest, self.nearest.all
        for k in range(tries):
            rows = rows if k < FURTHER else rows[nearest.distance[rows].isinf()]
            if not len(rows):
                break
            x = self.x[rows]
            points = _anything(generator[rows.cpu().numpy()].spawn(k), x, k, self.model.bounds)
            points = project(points, x, nearest.distance[rows] * CLOSER, self.norm, self.model.bounds)
            wrong = self.wrong(points[None], rows)[0]
            if wrong.any():
                self.back(points[wrong], rows[wrong], COARSE)
        rows = nearest.all[nearest.distance.isfinite()]
        if len(rows):
            self.back(nearest.points[rows], rows)
        return rows

    def back(self, points: Tensor, rows: Tensor, halvings: int | None = None) -> Tensor:
        """Wrong points brought to the boundary on their way to the rows: along the segment, under "linf" by cutting.

        Each lies behind the boundary by at most the distance divided by the number of values to the power of 1.5, a
        typical part of a probe's length along the normal there.
        """
        x, low = self.x[rows], torch.zeros(len(rows), device=points.device)
        high = distance(points, x, self.norm)
        for _ in range(halvings or math.ceil(1.5 * math.log2(x[0].numel()))):
            tried = (low + high) / 2
            nearer = project(points, x, tried, self.norm, self.model.bounds)
            wrong = self.wrong(nearer[None], rows)[0]
            points = torch.where(column(wrong, x), nearer, points)
            low, high = torch.where(wrong, low, tried), torch.where(wrong, tried, high)
        return points


def _anything(generator: Draws, x: Tensor, k: int, bounds: Bounds) -> Tensor:
    """The k-th random point of each row: by turns uniform noise, noise in blocks, values at a bound, and one value."""
    assert bounds
    luck = drawn(generator.uniform(*x.shape[1:]), x)
    if k % 4 == 1:
        for axis in range(1, x.ndim):
            luck = luck.index_select(axis, torch.arange(x.shape[axis], device=x.device) // BLOCK * BLOCK)
    elif k % 4 == 2:
        luck = luck.round()
    elif k % 4 == 3:
        luck = column(luck.flatten(1)[:, 0], x).expand_as(x)
    return (bounds[0] + (bounds[1] - bounds[0]) * luck).to(x.dtype)
