"""Learning for the group that is served worst."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from torch import Tensor, nn

from labkit.core.method import Range
from labkit.mitigations import Fit, Model
from labkit.mitigations._soft import cross_entropy


def group_dro(
    x: np.ndarray,
    y: np.ndarray,
    group: np.ndarray,
    fit: Fit,
    *,
    strength: Annotated[float, Range(0, 1), "share of the robust loss; the rest is the mean loss"] = 1.0,
    by_class: Annotated[bool, "cells of group and class instead of groups"] = False,
    step: Annotated[float, Range(1e-4, 1, log=True), "of the groups' weights, per nat of loss"] = 0.01,
    adjustment: Annotated[
        float, Range(0, 10), "nats times the root of a group's size that its loss is raised by"
    ] = 0.0,
) -> Model:
    """Group distributionally robust optimisation: the largest mean loss of any group is made small.

    Each group has a weight that is multiplied by exp(step * its loss) in every batch that holds it, and the loss is the
    groups' mean losses by these weights. What is watched on the people held out is the largest mean loss. Any number of
    classes and groups. Batches are drawn from all people and not group by group. A flexible network that can fit every
    person needs strong regularisation for it to matter, as the authors say.

    Source: Sagawa, Koh, Hashimoto and Liang, 2020, arXiv 1911.08731, algorithm 1.

    Returns:
        x -> (n, classes) probabilities.

    Raises:
        Refused: a learner that takes no objective.
    """
    classes = int(y.max()) + 1 if by_class else 1
    sizes = np.bincount(group * classes + (y if by_class else 0), minlength=(int(group.max()) + 1) * classes)
    raised = adjustment / np.sqrt(np.maximum(sizes, 1))
    return fit(x, y, objective=_Robust(torch.tensor(raised, dtype=torch.float32), classes, strength, step))


class _Robust(nn.Module):
    """(1 - strength) times the mean loss plus strength times the groups' losses by their weights."""

    raised: Tensor
    logarithm: Tensor

    def __init__(self, raised: Tensor, classes: int, strength: float, step: float) -> None:
        super().__init__()
        self.classes, self.strength, self.step = classes, strength, step
        self.register_buffer("raised", raised)
        self.register_buffer("logarithm", torch.zeros(len(raised)))  # of the weights

    def forward(self, logits: Tensor, y: Tensor, group: Tensor, weight: Tensor) -> Tensor:
        loss, there = self._losses(logits, y, group, weight)
        if self.training:
            self.logarithm += self.step * torch.where(there, loss.detach(), 0)
        return self._mixed(logits, y, weight, (self.logarithm.softmax(0) * loss).sum())

    def watched(self, logits: Tensor, y: Tensor, group: Tensor, weight: Tensor) -> Tensor:
        """What the people held out say of it: with the largest loss of a group."""
        return self._mixed(logits, y, weight, self._losses(logits, y, group, weight)[0].max())

    def _mixed(self, logits: Tensor, y: Tensor, weight: Tensor, robust: Tensor) -> Tensor:
        return (1 - self.strength) * cross_entropy(logits, y, weight) + self.strength * robust

    def _losses(self, logits: Tensor, y: Tensor, group: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """(cells,) mean losses, 0 where nobody is there, and whether anybody is."""
        cell = group * self.classes + (y if self.classes > 1 else 0)
        member = (cell[:, None] == torch.arange(len(self.raised), device=cell.device)).to(logits) * weight[:, None]
        total = member.sum(0)
        own = nn.functional.cross_entropy(logits, y, reduction="none")
        mean = member.T @ own / total.clamp_min(1e-12)
        return torch.where(total > 0, mean + self.raised, 0), total > 0
