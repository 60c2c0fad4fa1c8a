"""Which entries of space or time each window of a pooling layer sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def sliding(space: Sequence[int], out: Sequence[int], kernel: Any, stride: Any, padding: Any, dilation: Any) -> Tensor:
    """(*out, entries) positions in the flattened space that a window of each place sees. Where padding would stand, an
    entry of the window stands again: that changes no maximum."""
    axes = []
    sizes = (_each(v, len(space)) for v in (kernel, stride, padding, dilation))
    for length, count, wide, step, before, apart in zip(space, out, *sizes):
        places = torch.arange(count)[:, None] * step - before + torch.arange(wide) * apart
        fits = (places >= 0) & (places < length)
        axes.append(torch.where(fits, places, places.gather(1, fits.long().argmax(1, keepdim=True))))
    return _crossed(space, axes)


def adaptive(space: Sequence[int], out: Any) -> Tensor:
    """The same where the space is shared out evenly among so many windows; None leaves an axis as it is."""
    axes = []
    for length, given in zip(space, _each(out, len(space))):
        place = torch.arange(given or length)
        start, end = place * length // len(place), -(-(place + 1) * length // len(place))
        places = start[:, None] + torch.arange(int((end - start).max()))
        axes.append(torch.where(places < end[:, None], places, start[:, None]))
    return _crossed(space, axes)


def _each(value: Any, axes: int) -> tuple[Any, ...]:
    found = tuple(value) if isinstance(value, list | tuple) else (value,)
    return found * axes if len(found) == 1 else found


def _crossed(space: Sequence[int], axes: Sequence[Tensor]) -> Tensor:
    """(*windows, entries) positions in the flattened space, from (windows, places) along each axis."""
    index = torch.zeros(1, 1, dtype=torch.long)
    for axis, length in zip(axes, space):
        index = (index[:, None, :, None] * length + axis[None, :, None, :]).flatten(2).flatten(0, 1)
    return index.reshape(*map(len, axes), -1)
