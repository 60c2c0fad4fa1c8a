"""Few spikes: a spiking network is to be right without firing often."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from labkit.training.members import Members
from labkit.training.objectives import Objective, cross_entropy


@dataclass(frozen=True, kw_only=True)
class SparseSpikes(Objective):
    """Cross-entropy plus ``strength`` times the square of what the share of neurons x steps with a spike has above
    ``most``, a mean over the batch (an upper bound on activity as in Neftci, Mostafa and Zenke, 2019, arXiv 1901.09948).

    The architecture gives logits and each example's share of spikes while training. Epochs are judged by cross-entropy
    and accuracy alone.
    """

    most: float
    strength: float

    def loss(self, answer: Members, x: Tensor, y: Tensor) -> Tensor:
        logits, spikes = answer(x)
        excess = (spikes.mean(1) - self.most).relu()
        return cross_entropy(logits, y).mean(1) + self.strength * excess.square()
