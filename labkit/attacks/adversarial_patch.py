"""A patch that is laid over a part of the image."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor

from labkit.attacks._learned import common, once, some
from labkit.attacks._moves import fits, require, worst
from labkit.attacks._search import Best, drawn
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.data.schema import Schema
from labkit.models.classifier import Classifier


def adversarial_patch(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    generator: Draws,
    schema: Schema,
    background: Tensor,
    batch_size: int,
    *,
    steps: Annotated[int, Range(1, 10_000, log=True), "gradient steps, each on 32 rows of the background"] = 100,
    places: Annotated[int, Range(1, 10_000, log=True), "random places tried on each image"] = 50,
    most: Annotated[int, Range(1, 100_000, log=True), "rows of the background to learn from, evenly spaced"] = 512,
) -> Tensor:
    """Lays one patch over every image, at the most harmful of ``places`` random places.

    eps is the share of the image's area that the patch may cover: 0 nothing, 1 the whole image; it is square where the
    image allows that, and holds any values within the bounds. It is learned over random places on the background, with
    the model's own answers there, never on the images attacked, and aims at no class. Images (n, channels, height,
    width) only; others are refused.

    Source: Brown, Mané, Roy, Abadi and Gilmer, 2017, arXiv 1712.09665; expectation over places as in Athalye et al.,
    2018, arXiv 1707.07397.
    """
    require(schema, "adversarial_patch", "image")
    channels, height, width = x.shape[1:]
    tall = min(height, math.isqrt(fits(eps, height * width)))
    if not tall:
        return x.clone()
    wide = min(width, fits(eps, height * width) // tall)
    low, high = model.bounds or (0.0, 1.0)
    rows = some(background, most)

    def keep(patch: Tensor) -> Tensor:
        return patch.clamp(low, high)

    def learn() -> Tensor:
        start = x.new_full((channels, tall, wide), (low + high) / 2)
        return common(model, rows, start, _laid, keep, high - low, "linf", steps, batch_size)

    patch, best = once(model, rows, ("adversarial_patch", tall, wide, steps), learn), Best(x, y)

    def propose(standing: Tensor, k: int) -> Tensor:
        return _laid(x[standing], patch, generator[standing.cpu().numpy()].spawn(k))

    worst(model, best, propose, places, batch_size)
    return best.points


def _laid(x: Tensor, patch: Tensor, generator: Draws) -> Tensor:
    """The patch (channels, tall, wide) over each image, at a place of its own."""
    (_, tall, wide), (height, width) = patch.shape, x.shape[2:]
    top = drawn(generator.integers(height - tall + 1), x)
    left = drawn(generator.spawn(1).integers(width - wide + 1), x)
    down = torch.arange(height, device=x.device) - top[:, None]
    across = torch.arange(width, device=x.device) - left[:, None]
    hit = ((down >= 0) & (down < tall))[:, :, None] & ((across >= 0) & (across < wide))[:, None, :]
    over = patch[:, down.clamp(0, tall - 1)[:, :, None], across.clamp(0, wide - 1)[:, None, :]].transpose(0, 1)
    return torch.where(hit[:, None], over, x)
