"""Demographic parity while training: two groups of people are to be selected equally often."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.training.members import Members
from labkit.training.objectives import Objective, cross_entropy


@dataclass(frozen=True, kw_only=True)
class DemographicParity(Objective):
    """Cross-entropy plus ``strength`` times the squared difference between two groups' mean soft selection.

    A person's soft selection is the sigmoid of the logit margin of the positive class over ``softness``: the smaller,
    the nearer to the decision itself, and the fewer people the constraint speaks of. Both means are taken over the
    batch; a batch without one of the groups is not penalised. Other groups are left to cross-entropy alone.

    A penalty on a differentiable stand-in for the difference in rates follows Bechavod and Ligett, 2017, arXiv
    1707.00044, and Padala and Gujar, 2020, arXiv 1811.00247.

    Attributes:
        column: the index of the feature that says who belongs to which group.
        groups: the values of that feature in the two groups.
        strength: of the penalty, in nats.
        softness: logits.
        positive: the index of the class that is selected.
    """

    column: int
    groups: tuple[float, float]
    strength: float
    softness: float = 1.0
    positive: int = 1

    def loss(self, answer: Members, x: Tensor, y: Tensor) -> Tensor:
        logits = answer(x)
        return cross_entropy(logits, y).mean(1) + self.penalty(logits, x)

    def judge(self, answer: Members, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """As for cross-entropy, with the penalty of these examples added to the loss of each."""
        with torch.no_grad():
            logits = answer(x)
        return cross_entropy(logits, y) + self.penalty(logits, x)[:, None], (logits.argmax(-1) == y).float()

    def penalty(self, logits: Tensor, x: Tensor) -> Tensor:
        """(models, n, classes) logits of (models, n, features) inputs -> (models,) penalties, at least 0."""
        others = torch.cat([logits[..., : self.positive], logits[..., self.positive + 1 :]], -1).logsumexp(-1)
        selected = torch.sigmoid((logits[..., self.positive] - others) / self.softness)
        members = [(x[..., self.column] == group).float() for group in self.groups]
        first, second = ((selected * m).sum(1) / m.sum(1).clamp_min(1) for m in members)
        both = (members[0].sum(1) > 0) & (members[1].sum(1) > 0)
        return self.strength * both * (first - second) ** 2
