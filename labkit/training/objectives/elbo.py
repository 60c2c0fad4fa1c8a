"""The evidence lower bound of a variational autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from labkit.training.members import Members
from labkit.training.objectives import Objective


@dataclass(frozen=True)
class Elbo(Objective):
    """Minus the evidence lower bound, in nats an image (Kingma and Welling, 2013, arXiv 1312.6114).

    The architecture gives log-likelihood and divergence of each image at a code drawn for it. With ``weight`` 1 their
    difference is a bound of the log-likelihood; a smaller weight of the divergence makes sharper reconstructions and
    worse samples (Higgins et al., 2017, openreview Sy2fzU9gl). Epochs are always judged by the bound.
    """

    weight: float = 1.0
    classifies: ClassVar[bool] = False

    def loss(self, answer: Members, x: Tensor, y: Tensor) -> Tensor:
        log_likelihood, divergence = answer(x)
        return (self.weight * divergence - log_likelihood).mean(1)

    @torch.no_grad()
    def judge(self, answer: Members, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        log_likelihood, divergence = answer(x)
        return divergence - log_likelihood, torch.full_like(divergence, torch.nan)
