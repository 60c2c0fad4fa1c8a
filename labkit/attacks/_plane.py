"""The way to a linear boundary that stays within the bounds."""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.attacks._search import column, room


def onto_plane(gradient: Tensor, rise: Tensor, points: Tensor, norm: str, bounds: tuple[float, float]) -> Tensor:
    """The smallest change within the bounds by which a linear function with that gradient rises by ``rise`` (n,).

    Where the bounds do not leave so much, every value goes as far as it may. Under "l1" the values with the largest
    gradients move first; else all move in proportion (to one, or to their gradients) until each meets its bound.
    """
    way = gradient.sign() * column(rise.sign(), gradient)
    far, size = (v.flatten(1).double() for v in (room(way, points, bounds), gradient.abs()))
    goal = rise.abs().double().nan_to_num(0.0)[:, None]
    rate = torch.ones_like(size) if norm == "linf" else size
    met = far / rate.clamp_min(1e-30) if norm != "l1" else -size
    order = met.argsort(dim=1, stable=True)
    gain = (size * far).gather(1, order)
    before = gain.cumsum(1) - gain
    if norm == "l1":
        part = ((goal - before) / gain.clamp_min(1e-300)).clamp(0, 1)
        moved = far * torch.zeros_like(part).scatter(1, order, part)
    else:
        slope = (size * rate).gather(1, order).flip(1).cumsum(1).flip(1)
        length = (goal - before) / slope.clamp_min(1e-300)
        enough = length <= met.gather(1, order)
        length = torch.where(enough.any(1, keepdim=True), length.gather(1, enough.int().argmax(1, keepdim=True)), 1e30)
        moved = torch.minimum(length.clamp(max=1e30) * rate, far)
    return way * moved.view_as(way).to(way.dtype)
