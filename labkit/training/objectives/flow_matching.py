"""Flow matching: a velocity learned from straight lines between noise and data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from labkit.training.members import Members
from labkit.training.objectives import Objective


@dataclass(frozen=True)
class FlowMatching(Objective):
    """Mean squared error of the velocity at a random time of the line from a random noise to each image.

    Lipman et al., 2022, arXiv 2210.02747. What minimises it is the mean direction of all lines through a point, which
    carries standard normal noise into the images. The least loss is not zero: lines cross.
    """

    classifies: ClassVar[bool] = False

    def loss(self, answer: Members, x: Tensor, y: Tensor) -> Tensor:
        noise, time = torch.randn_like(x), torch.rand(x.shape[:2], device=x.device)
        return _error(answer, x, noise, time).mean(1)

    @torch.no_grad()
    def judge(self, answer: Members, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        # Times spread evenly, so that epochs differ by the weights and not by luck.
        models, n = x.shape[:2]
        time = ((torch.arange(n, device=x.device) + 0.5) / n).expand(models, n)
        error = _error(answer, x, torch.randn_like(x), time)
        return error, torch.full_like(error, torch.nan)


def _error(answer: Members, x: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """(models, n) mean over the pixels."""
    velocity, direction = answer(x, noise, time)
    return (velocity - direction).square().flatten(2).mean(2)
