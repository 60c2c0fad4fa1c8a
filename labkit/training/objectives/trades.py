"""TRADES: accuracy where the data are, and the same answer all around them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from labkit.training.members import Members
from labkit.training.objectives import cross_entropy
from labkit.training.objectives.adversarial import Adversarial


@dataclass(frozen=True, kw_only=True)
class Trades(Adversarial):
    """Cross-entropy at the inputs, plus ``beta`` times how far the answer nearby is from the answer there.

    How far is the Kullback-Leibler divergence from the probabilities at the input to those at the nearby point where it
    is greatest, sought as ``Adversarial`` seeks: the adversary needs no labels. A larger ``beta`` gives up accuracy for
    robustness. An epoch is judged as one of adversarial training is, by its accuracy under attack.

    Source: Zhang et al., 2019, arXiv 1901.08573 (equation 3; ``beta`` is 1 over its lambda).
    """

    beta: float = 6.0

    def loss(self, answer: Members, x: Tensor, y: Tensor) -> Tensor:
        model: Members = getattr(answer, "module", answer)
        mode = model.training
        with torch.no_grad():
            there = model.eval()(x)
        model.train(mode)
        hostile = self.climbed(answer, x, lambda logits: divergence(there, logits), self.steps, self.step)
        # one call for both: what the pass through several processes adds up is then one gradient
        logits, nearby = answer(torch.cat([x, hostile], 1)).chunk(2, 1)
        return (cross_entropy(logits, y) + self.beta * divergence(logits, nearby)).mean(1)


def divergence(logits: Tensor, others: Tensor) -> Tensor:
    """(models, n) Kullback-Leibler divergence in nats from one pair of (models, n, classes) logits to the other."""
    first, second = (functional.log_softmax(v, -1) for v in (logits, others))
    return (first.exp() * (first - second)).sum(-1)
