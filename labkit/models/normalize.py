"""Normalisation as a model's first layer, so that every tool works in the data's own unit."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """(x - mean) / std, with the two as buffers: they are stored with the weights and never trained.

    Args:
        mean, std: one number, or one a channel or feature.
        axes: how many axes follow the channel axis (2 for images, 0 for tables).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float], axes: int = 0) -> None:
        super().__init__()
        for name, value in (("mean", mean), ("std", std)):
            tensor = torch.as_tensor(value, dtype=torch.float32).reshape(-1, *[1] * axes)
            self.register_buffer(name, tensor)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std
