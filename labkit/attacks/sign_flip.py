"""The sign flip attack: a perturbation made smaller, and signs of it flipped by chance, as long as the answer is wrong."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks._decisions import Answers
from labkit.attacks._search import column, drawn, project
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier

RATE, HALF = 0.1, 0.5  # how fast the shares follow success, and the share of successes at which they stay
CONVERGED, LONGEST = 1e-5, 0.5  # shares of the ball: at which a row has converged, and the largest cut


def sign_flip(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    norm: Literal["linf"],
    generator: Draws,
    batch_size: int,
    *,
    steps: Annotated[int, Range(1, 100_000, log=True), "steps, of two answers each"] = 500,
    starts: Annotated[int, Range(1, 10_000, log=True), "random points tried for a start"] = 100,
) -> Annotated[Tensor, "queries"]:
    """Cuts the perturbation to a smaller ball, then flips some of its signs; each is kept where the answer stays wrong.

    Each row has its own share of the ball to cut off and its own share of signs to flip, which grow with success and
    shrink without. It needs predicted labels alone, and looks for the smallest perturbation, so it names no budget. A row
    without any wrong point to start from is given back as it was, and the others go on.

    Source: Chen, Zhou, Zhou, Wang and Chen, 2020, "Boosting decision-based black-box adversarial attacks with random sign
    flip", ECCV (doi 10.1007/978-3-030-58555-6_17).
    """
    answers = Answers(model, x, y, norm, batch_size)
    nearest, rows = answers.nearest, answers.begin(generator.spawn(0), starts)
    points, size = nearest.points.clone(), x[0].numel()
    cut, flip = torch.full((len(x),), 0.05, device=x.device), torch.full((len(x),), 0.05, device=x.device)
    for step in range(steps):
        rows = rows[cut[rows] > CONVERGED]
        if not len(rows):
            break
        here, ball = x[rows], nearest.distance[rows]
        smaller = project(points[rows], here, ball * (1 - cut[rows]), norm, model.bounds)
        wrong = answers.wrong(smaller[None], rows)[0]
        cut[rows] = (cut[rows] * torch.exp(RATE * (wrong.to(cut) - HALF))).clamp_max(LONGEST)
        kept = torch.where(column(wrong, x), smaller, points[rows])
        luck = drawn(generator[rows.cpu().numpy()].spawn(step + 1).uniform(*x.shape[1:]), x)
        # at least one sign: that of the least draw
        flipped = luck <= column(torch.maximum(flip[rows], luck.flatten(1).amin(1)), x)
        turned = project(torch.where(flipped, 2 * here - kept, kept), here, nearest.distance[rows], norm, model.bounds)
        wrong = answers.wrong(turned[None], rows)[0]
        flip[rows] = (flip[rows] * torch.exp(RATE * (wrong.to(cut) - HALF))).clamp(1 / size, 0.5)
        points[rows] = torch.where(column(wrong, x), turned, kept)
    return nearest.points
