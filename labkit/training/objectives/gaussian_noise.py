"""Training under noise, so that a smoothed classifier has something to vote on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.training.members import Members
from labkit.training.objectives import Objective, cross_entropy


@dataclass(frozen=True, kw_only=True)
class GaussianNoise(Objective):
    """Cross-entropy at inputs with normal noise of standard deviation ``sigma`` added, in the data's unit.

    Randomised smoothing takes the class that wins most votes under such noise, which asks of the network that it
    recognises noisy inputs. They are not clipped to the bounds, neither here nor there: the certificate is about noise as
    it was drawn. An epoch is judged under noise too.

    Source: Cohen, Rosenfeld and Kolter, 2019, arXiv 1902.02918 (section 3.3).
    """

    sigma: float

    def loss(self, answer: Members, x: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(answer(self.noisy(x)), y).mean(1)

    def judge(self, answer: Members, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy and hits of (models, n) inputs, each under one draw of the noise."""
        return super().judge(answer, self.noisy(x), y)

    def noisy(self, x: Tensor) -> Tensor:
        """Inputs of any shape, each entry with its own draw."""
        return x + self.sigma * torch.randn_like(x)
