"""The boundary attack: a random walk along the decision boundary, towards the row."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks._decisions import Answers
from labkit.attacks._moves import within
from labkit.attacks._search import column, direction, drawn
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier

EVERY = 5  # after how many steps a point on the sphere is asked about too
# How fast a step's length follows its success, and the share of successes at which it stays: on the sphere, and towards.
RATE_BESIDE, HALF = 0.3, 0.5
RATE_TOWARDS, QUARTER = 0.1, 0.25
CONVERGED, LONGEST = 1e-6, 0.5  # shares of the distance: of the last step towards the row, and of any


def boundary(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    norm: Literal["l2"],
    generator: Draws,
    batch_size: int,
    *,
    steps: Annotated[int, Range(1, 100_000, log=True), "steps along the decision boundary"] = 1000,
    starts: Annotated[int, Range(1, 10_000, log=True), "random points tried for a start"] = 100,
) -> Annotated[Tensor, "queries"]:
    """Steps a random way along the sphere around the row and a little towards it, where the answer stays wrong.

    It needs predicted labels alone, and looks for the smallest perturbation, so it names no budget. Each row has step
    lengths of its own: along the sphere so that half of such points are wrong, towards the row so that a quarter of the
    steps succeed. A row without any wrong point to start from is given back as it was, and the others go on.

    Source: Brendel, Rauber and Bethge, 2018, arXiv 1712.04248.
    """
    answers = Answers(model, x, y, norm, batch_size)
    nearest, rows = answers.nearest, answers.begin(generator.spawn(0), starts)
    beside = torch.full((len(x),), 0.1, device=x.device)
    towards = torch.full_like(beside, 0.05)
    for step in range(steps):
        rows = rows[towards[rows] > CONVERGED]
        if not len(rows):
            break
        here, away = x[rows], nearest.distance[rows]
        outwards = direction(nearest.points[rows] - here, norm)
        way = drawn(generator[rows.cpu().numpy()].spawn(step + 1).normal(*x.shape[1:]), x)
        way = direction(way - column((way * outwards).flatten(1).sum(1), x) * outwards, norm)
        turned = direction(outwards + column(beside[rows], x) * way, norm)
        check = step % EVERY == 0
        lengths = [away * (1 - towards[rows])] + ([away] if check else [])
        points = torch.stack([within(here + column(far, x) * turned, model.bounds) for far in lengths])
        wrong = answers.wrong(points.to(x.dtype), rows).to(beside)
        towards[rows] = (towards[rows] * torch.exp(RATE_TOWARDS * (wrong[0] - QUARTER))).clamp_max(LONGEST)
        if check:
            beside[rows] *= torch.exp(RATE_BESIDE * (wrong[1] - HALF))
    return nearest.points
