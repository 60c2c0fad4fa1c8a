"""Fast adaptive boundary: from one side of a class boundary to the other, ever nearer to the row."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks._nearest import Nearest
from labkit.attacks._plane import onto_plane
from labkit.attacks._search import climb, column, distance
from labkit.core.method import Range
from labkit.models.classifier import Classifier

# As in the paper: how far beyond the boundary, how much of the way to the row's own side, how far back once wrong.
OVERSHOOT, LARGEST_PULL, BACK = 1.05, 0.1, 0.9


def fab(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    norm: Literal["linf", "l2", "l1"],
    *,
    steps: Annotated[int, Range(1, 1000, log=True), "steps towards each target; each asks for two answers"] = 40,
    targets: Annotated[int, Range(1, 1000, log=True), "wrong classes tried, the likeliest first"] = 4,
) -> Tensor:
    """Goes to the linearized boundary with one wrong class, within the bounds, drawn to the boundary point nearest the row.

    A wrong point is kept if it is the nearest so far, and the search goes on a tenth of the way closer to the row. It
    looks for the smallest perturbation, so it names no budget. Aimed at one class at a time it needs one gradient a step.

    Source: Croce and Hein, 2020, arXiv 1907.02044 (targeted as in arXiv 2003.01690), without random restarts.
    """
    assert model.bounds
    nearest = Nearest(x, y, norm)
    with torch.no_grad():
        wrong = model(x).float().nan_to_num(-torch.inf).scatter(1, y[:, None], -torch.inf)
    for target in wrong.topk(min(targets, wrong.shape[1] - 1)).indices.unbind(1):
        points = x
        for _ in range(steps):
            z = points.detach().clone().requires_grad_()
            logits = model(z)
            lead = (logits.gather(1, target[:, None]) - logits.gather(1, y[:, None]))[:, 0]
            gradient, lead = climb(lead.sum(), z), lead.detach()
            lead_at_x = lead + (gradient * (x - points)).flatten(1).sum(1)
            ahead = points + OVERSHOOT * onto_plane(gradient, -lead, points, norm, model.bounds)
            beside = x + OVERSHOOT * onto_plane(gradient, -lead_at_x, x, norm, model.bounds)
            away, way_back = distance(ahead, points, norm), distance(beside, x, norm)
            pull = column((away / (away + way_back).clamp_min(1e-30)).clamp(max=LARGEST_PULL), x)
            points = ((1 - pull) * ahead + pull * beside).clamp(*model.bounds)
            with torch.no_grad():
                broken = nearest.offer(points, model(points))
            points = torch.where(column(broken, x), x + BACK * (points - x), points)
    return nearest.tightened(model)
