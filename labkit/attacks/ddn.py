"""Decoupled direction and norm."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks._losses import cross_entropy, margin
from labkit.attacks._nearest import Nearest, asked, cosine, unit
from labkit.attacks._search import climb, column, direction, l2
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def ddn(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    norm: Literal["l2", "noise_to_signal"],
    *,
    steps: Annotated[int, Range(1, 10_000, log=True), "gradient steps"] = 100,
    radius: Annotated[float, Range(1e-4, 100, log=True), "first radius; 1 is the range, for signals -20 dB"] = 1.0,
    change: Annotated[float, Range(1e-4, 0.5, log=True), "share by which the radius shrinks or grows in a step"] = 0.05,
) -> Tensor:
    """Follows the gradient of the cross-entropy on a sphere that shrinks while the answer is wrong and grows while not.

    The direction and the length of the change are thus kept apart: each row has a radius of its own, and steps of one
    length that shrink along a cosine. Where the model is so sure that the gradient is zero, that of the margin is taken.
    It looks for the smallest perturbation, so it names no budget.

    Source: Rony et al., 2019, arXiv 1811.09600 (algorithm 1, without the quantization).
    """
    nearest, length = Nearest(x, y, norm), unit(model, x, norm)
    points, around = x, radius * length
    for step in range(steps + 1):
        z, logits = asked(model, points)
        wrong = nearest.offer(z, logits)
        if step == steps:
            break
        towards = direction(_slope(z, logits, y), norm)
        around = around * torch.where(wrong, 1 - change, 1 + change)
        delta = points - x + column(cosine(step, steps, 1.0, 0.01) * length, x) * towards
        points = x + column(around / l2(delta).clamp_min(1e-30), x) * delta
        points = points if model.bounds is None else points.clamp(*model.bounds)
    return nearest.tightened(model)


def _slope(z: Tensor, logits: Tensor, y: Tensor) -> Tensor:
    """The gradient of the cross-entropy; of the margin in rows where that is zero."""
    slope = climb(cross_entropy(logits.float(), y).sum(), z, again=True)
    flat = ~slope.flatten(1).any(1)
    return torch.where(column(flat, z), climb(margin(logits, y).sum(), z), slope) if flat.any() else slope
