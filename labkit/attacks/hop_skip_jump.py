"""HopSkipJump: the boundary's normal estimated from answers beside it, a step along it, and back."""

from __future__ import annotations

from math import sqrt
from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks._decisions import Answers
from labkit.attacks._moves import within
from labkit.attacks._search import column, direction, distance, drawn
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier

KEPT = 0.5  # how much of the normal before is added
HALVINGS = 20  # after which no step is taken


def hop_skip_jump(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    norm: Literal["linf", "l2"],
    generator: Draws,
    batch_size: int,
    *,
    steps: Annotated[int, Range(1, 1000, log=True), "steps along the normal"] = 15,
    probes: Annotated[
        int, Range(2, 10_000, log=True), "answers for the first normal; sqrt(t) times for the t-th"
    ] = 100,
    starts: Annotated[int, Range(1, 10_000, log=True), "random points tried for a start"] = 100,
) -> Annotated[Tensor, "queries"]:
    """Estimates the normal of the decision boundary where the row's point lies, steps along it, and goes back.

    The estimate is the mean of random directions, those to wrong answers counted for and the others against, with their
    mean taken off. The step is as long as the distance over sqrt(t), and is halved until the answer is wrong. It needs
    predicted labels alone, and looks for the smallest perturbation, so it names no budget. A row without any wrong point
    to start from is given back as it was, and the others go on.

    Source: Chen, Jordan and Wainwright, 2020, arXiv 1904.02144 (algorithm 2). Under "linf" probes are sqrt(d) / 2 times as long
    as there, so that they compare with the perturbation as they do under "l2". Our own: some of the last normal is kept,
    for it changes little from point to point.
    """
    answers = Answers(model, x, y, norm, batch_size)
    rows = answers.begin(generator.spawn(0), starts)
    points = answers.nearest.points[rows]
    normal = torch.zeros_like(points)
    for step in range(1, steps + 1):
        if not len(rows):
            break
        far = distance(points, x[rows], norm)
        found = _normal(answers, generator.spawn(step), points, rows, far, int(probes * sqrt(step)))
        normal = direction(direction(found, "l2") + KEPT * normal, "l2")
        points = answers.back(_ahead(answers, points, rows, far / sqrt(step), direction(normal, norm)), rows)
    return answers.nearest.points


def _normal(answers: Answers, generator: Draws, points: Tensor, rows: Tensor, far: Tensor, probes: int) -> Tensor:
    """The estimated way into the wrong class, from ``probes`` answers around each point."""
    size = points[0].numel()
    length = column(far / (2 * sqrt(size) if answers.norm == "linf" else size), points)
    stream, share = generator[rows.cpu().numpy()], torch.zeros(len(rows), device=points.device)
    total, signed, together = (
        torch.zeros_like(points),
        torch.zeros_like(points),
        max(1, answers.batch_size // len(rows)),
    )
    for some in torch.arange(probes).split(together):
        ways = torch.stack(
            [direction(drawn(stream.spawn(k).normal(*points.shape[1:]), points), "l2") for k in some.tolist()]
        )
        tried = within(points + length * ways, answers.model.bounds).to(points.dtype)
        sign = 2 * answers.wrong(tried, rows).to(points) - 1
        ways = (tried - points) / length
        signed += (sign.view(*sign.shape, *[1] * (points.ndim - 1)) * ways).sum(0)
        total, share = total + ways.sum(0), share + sign.sum(0) / probes
    return torch.where(column(share.abs() < 1, points), signed - column(share, points) * total, signed)


def _ahead(answers: Answers, points: Tensor, rows: Tensor, length: Tensor, way: Tensor) -> Tensor:
    """The points after the longest step that stays wrong, of those halved again and again."""
    found, left = points.clone(), torch.arange(len(rows), device=points.device)
    for _ in range(HALVINGS):
        if not len(left):
            break
        tried = points[left] + column(length[left], points) * way[left]
        tried = within(tried, answers.model.bounds).to(points.dtype)
        wrong = answers.wrong(tried[None], rows[left])[0]
        found[left[wrong]], length = tried[wrong], length / 2
        left = left[~wrong]
    return found
