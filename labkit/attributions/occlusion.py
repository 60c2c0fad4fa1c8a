"""Occlusion: what the output loses when a part of the input is replaced by the baseline."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from labkit.attributions._passes import score
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def occlusion(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    batch_size: int,
    *,
    window: Annotated[int, Range(0, 512), "side of the part; 0 takes a seventh of an image, elsewhere one entry"] = 0,
    stride: Annotated[int, Range(0, 512), "how far the part moves; 0 takes half of its side"] = 0,
) -> Tensor:
    """The fall of the target's logit when a part of the input takes the baseline's values (Zeiler and Fergus, 2014,
    arXiv 1311.2901). In images (n, channels, height, width) the part is a square over all channels; elsewhere one entry,
    or ``window`` neighbours along the last axis over all others: a stretch of sound, of a series, of a text.

    Asks for outputs only, so it also works where gradients vanish. Each entry gets the mean over the parts that
    cover it; the last part of a row or column ends at the border.

    Returns:
        Like x, in logits: positive where the entry supports the target.
    """
    parts = _parts(x.shape[1:], window, stride).to(x.device)
    flat, fill = x.flatten(1), baseline.flatten(1)
    whole = score(model(x), target)
    total = torch.zeros(flat.shape, dtype=whole.dtype, device=x.device)
    each = max(1, batch_size // len(x))
    for i in range(0, len(parts), each):
        chosen = parts[i : i + each]
        without = torch.where(chosen[:, None], fill, flat).reshape(-1, *x.shape[1:])
        falls = whole - score(model(without), target).reshape(len(chosen), len(x))
        total += falls.T @ chosen.to(total)
    return (total / parts.sum(0)).reshape(x.shape)


def _parts(shape: torch.Size, window: int, stride: int) -> Tensor:
    """(parts, entries) of which entries each part replaces."""
    if len(shape) != 3 and not window:
        return torch.eye(shape.numel(), dtype=torch.bool)
    if len(shape) != 3:
        side = min(window, shape[-1])
        starts = torch.tensor(_starts(shape[-1], side, min(stride or max(1, side // 2), side)))[:, None]
        place = torch.arange(shape.numel()) % shape[-1]
        return (place >= starts) & (place < starts + side)
    _, height, width = shape
    side = min(window or max(1, round(min(height, width) / 7)), height, width)
    step = min(stride or max(1, side // 2), side)
    parts = torch.zeros(len(_starts(height, side, step)), len(_starts(width, side, step)), *shape, dtype=torch.bool)
    for i, top in enumerate(_starts(height, side, step)):
        for j, left in enumerate(_starts(width, side, step)):
            parts[i, j, :, top : top + side, left : left + side] = True
    return parts.flatten(0, 1).flatten(1)


def _starts(length: int, side: int, step: int) -> list[int]:
    """Where the squares begin along one axis, so that every entry is covered."""
    return sorted({*range(0, length - side + 1, step), length - side})
