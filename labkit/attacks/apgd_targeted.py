"""Projected gradient descent without a step size, towards one wrong class after another."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks._ascent import attempt
from labkit.attacks._losses import targeted_dlr
from labkit.attacks._search import Best
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def apgd_targeted(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: Literal["linf", "l2", "l1", "noise_to_signal"],
    generator: Draws,
    *,
    steps: Annotated[int, Range(1, 1000, log=True), "gradient steps towards each target"] = 75,
    targets: Annotated[int, Range(1, 1000, log=True), "wrong classes tried, the likeliest first"] = 9,
) -> Tensor:
    """Climbs, as ``apgd`` does, the lead of one wrong class over the true one, then that of the next. Rows leave when broken.

    A single aim finds what the changing best wrong class hides. The lead is divided by that of the largest logit over the
    mean of the third and fourth, so the scale of the logits does not matter; of fewer than four classes it is not.

    Source: Croce and Hein, 2020, arXiv 2003.01690; "l1": the same, 2021, arXiv 2103.01208.
    """
    best = Best(x, y)
    with torch.no_grad():
        wrong = model(x).float().nan_to_num(-torch.inf).scatter(1, y[:, None], -torch.inf)
    for k, target in enumerate(wrong.topk(min(targets, wrong.shape[1] - 1)).indices.unbind(1)):
        attempt(model, targeted_dlr, best, x, torch.stack([y, target], 1), eps, norm, generator.spawn(k), steps)
    return best.points
