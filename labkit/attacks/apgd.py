"""Projected gradient descent that needs no step size."""

from __future__ import annotations

from typing import Annotated, Literal

from torch import Tensor

from labkit.attacks._ascent import attempt
from labkit.attacks._losses import LOSSES
from labkit.attacks._search import Best
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def apgd(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: Literal["linf", "l2", "l1", "noise_to_signal"],
    generator: Draws,
    *,
    steps: Annotated[int, Range(1, 1000, log=True), "gradient steps after each start"] = 100,
    restarts: Annotated[int, Range(1, 100, log=True), "how often to start again, on the rows that still stand"] = 1,
    loss: Annotated[Literal["cross_entropy", "dlr", "margin"], "what is climbed"] = "cross_entropy",
) -> Tensor:
    """Climbs the loss within the ball by steps that a row halves where they stop to help, from its best point on.

    Each step keeps some of the one before. Rows leave when broken. "dlr" (the margin over the lead of the largest logit
    over the third) does not change with the scale of the logits; of fewer than four classes it is the margin. Under "l1"
    it begins in balls of three and two times the budget, and steps move ever fewer values.

    Source: Croce and Hein, 2020, arXiv 2003.01690; "l1": the same, 2021, arXiv 2103.01208.
    """
    best = Best(x, y)
    for restart in range(restarts):
        attempt(model, LOSSES[loss], best, x, y[:, None], eps, norm, generator.spawn(restart), steps)
    return best.points
