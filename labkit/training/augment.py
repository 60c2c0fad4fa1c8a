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
    if recipe.erase:
        x = erase(x, recipe.erase)
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


def erase(x: Tensor, side: int) -> Tensor:
    """Each image with a square of zeros somewhere; near an edge a part of the square lies outside.

    Source: T. DeVries and G. Taylor, 2017, arXiv 1708.04552.
    """
    inside = []
    for axis in (2, 3):
        start = torch.randint(1 - side, x.shape[axis], (len(x), 1), device=x.device)
        place = torch.arange(x.shape[axis], device=x.device)
        inside.append((place >= start) & (place < start + side))
    return x.masked_fill((inside[0][:, :, None] & inside[1][:, None, :])[:, None], 0.0)
