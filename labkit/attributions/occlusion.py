"""Occlusion: what the output loses when a part of the input is replaced by the baseline."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from labkit.attributions._coalitions import mixed
from labkit.attributions._passes import score
from labkit.attributions._regions import is_signal
from labkit.core.method import Range
from labkit.models.classifier import Classifier

STRETCHES = 49  # of a sound, as many as an image has squares


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
    """The fall of the target's score when a part of the input takes the baseline's values (Zeiler and Fergus, 2014,
    arXiv 1311.2901). In images (n, channels, height, width) the part is a square over all channels; elsewhere one entry,
    or ``window`` neighbours along the last axis over all others: a stretch of sound, of a series, of a text. Of a row of
    more than 512 numbers, a sound, it is a 49th by default.

    Asks for outputs only, so it also works where gradients vanish, and only where the part changes the input at all.
    Each entry gets the mean over the parts that cover it; the last part of a row or column ends at the border.

    Returns:
        Like x, in units of the score: positive where the entry supports the target.
    """
    parts = _parts(model, x, window, stride)
    chunks = torch.arange(len(parts[0].start), device=x.device).split(batch_size)
    differs = (x != baseline).flatten(1).float()
    with torch.no_grad():
        whole = score(model(x), target).double()
        falls = torch.zeros(len(x), len(parts[0].start), dtype=torch.float64, device=x.device)
        moved = torch.cat([differs @ _cover(parts, chosen).float().T > 0 for chosen in chunks], 1)
        row, part = moved.nonzero().unbind(1)
        left = mixed(model, x, baseline, target, row, lambda pairs: ~_cover(parts, part[pairs]), batch_size)
        falls[row, part] = whole[row] - left
    total, times = torch.zeros_like(differs, dtype=torch.float64), torch.zeros_like(differs[0], dtype=torch.float64)
    for chosen in chunks:
        cover = _cover(parts, chosen).double()
        total, times = total + falls[:, chosen] @ cover, times + cover.sum(0)
    return (total / times).reshape(x.shape)


class _Axis(NamedTuple):
    """Where each entry lies along an axis (entries,), where each part begins on it (parts,), and how long parts are."""

    place: Tensor
    start: Tensor
    side: int


def _cover(parts: list[_Axis], chosen: Tensor) -> Tensor:
    """(chosen, entries) booleans: what these parts replace."""
    begun = [axis.place - axis.start[chosen, None] for axis in parts]
    within = [(at >= 0) & (at < axis.side) for at, axis in zip(begun, parts)]
    return within[0] if len(within) == 1 else within[0] & within[1]


def _parts(model: Classifier, x: Tensor, window: int, stride: int) -> list[_Axis]:
    """The parts, by their place along height and width, or along the last axis."""
    shape = x.shape[1:]
    entry = torch.arange(shape.numel(), device=x.device)
    if is_signal(model, x) and not window:
        window = shape[-1] // STRETCHES
    if len(shape) != 3 and not window:
        return [_Axis(entry, entry, 1)]
    if len(shape) != 3:
        side = min(window, shape[-1])
        starts = _starts(shape[-1], side, stride).to(x.device)
        return [_Axis(entry % shape[-1], starts, side)]
    _, height, width = shape
    side = min(window or max(1, round(min(height, width) / 7)), height, width)
    starts = torch.cartesian_prod(_starts(height, side, stride), _starts(width, side, stride)).to(x.device)
    down, across = entry // width % height, entry % width
    return [_Axis(down, starts[:, 0], side), _Axis(across, starts[:, 1], side)]


def _starts(length: int, side: int, stride: int) -> Tensor:
    """Where the parts begin along one axis, so that every entry is covered."""
    step = min(stride or max(1, side // 2), side)
    return torch.tensor(sorted({*range(0, length - side + 1, step), length - side}))
