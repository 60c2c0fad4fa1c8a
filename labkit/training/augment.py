"""Batched changes to training examples, on the device where they lie. Random numbers come from torch's generator."""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.training.recipe import Recipe

UNKNOWN = 1


def augment(x: Tensor, recipe: Recipe) -> Tensor:
    """The batch as this step sees it: each row with its own draw."""
    if recipe.shift:
        x = shift(x, recipe.shift)
    if recipe.flip:
        x = torch.where(torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5, x.flip(3), x)
    if recipe.word_dropout:
        dropped = torch.rand(x.shape, device=x.device) < recipe.word_dropout
        x = torch.where(dropped & (x != 0), UNKNOWN, x)
    return x


def shift(x: Tensor, most: int) -> Tensor:
    """Each image moved by up to ``most`` pixels along both axes; what enters is zero."""
    n, height, width = len(x), *x.shape[2:]
    windows = torch.nn.functional.pad(x, [most] * 4).unfold(2, height, 1).unfold(3, width, 1)
    down, right = torch.randint(2 * most + 1, (2, n), device=x.device)
    return windows[torch.arange(n, device=x.device), :, down, right]
