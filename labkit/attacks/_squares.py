"""The proposals of the Square attack: perturbations (n, channels, height, width) that change one window a row.

``eps`` is one budget, or one a row with axes of length one.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from labkit.attacks._search import Bounds, column, drawn
from labkit.core.draws import Draws

# Where the share of changed pixels is halved, as parts of the whole search (section 4.1 of the paper).
_HALVED_AT = (0.001, 0.005, 0.02, 0.1, 0.2, 0.4, 0.6, 0.8)


def shrunk(share: float, progress: float) -> float:
    """The share of pixels to change at ``progress`` (0 to 1) through the search."""
    return share / 2 ** sum(progress > at for at in _HALVED_AT)


def window(share: float, height: int, width: int, least: int = 1) -> tuple[int, int]:
    """Height and width of a window with that share of the pixels: a square where the image allows one."""
    area = share * height * width
    tall = int(np.clip(round(math.sqrt(area)), min(least, height), height))
    return tall, int(np.clip(round(area / tall), min(least, width), width))


def length(delta: Tensor, p: int) -> Tensor:
    """(n, 1, 1, 1) length of each perturbation."""
    return column(delta.flatten(1).norm(p=p, dim=1), delta)


def stripes(generator: Draws, image: Tensor, eps: float | Tensor) -> Tensor:
    """The start under "linf": vertical stripes of -eps and eps, one pixel wide."""
    _, channels, _, width = image.shape
    return eps * drawn(generator.signs(channels, 1, width), image).expand_as(image)


def linf(generator: Draws, delta: Tensor, eps: float | Tensor, share: float) -> Tensor:
    """A window filled with -eps or eps, one sign a channel."""
    _, channels, height, width = delta.shape
    tall, wide = window(share, height, width)
    top, left = _corner(generator, height - tall, width - wide, delta)
    down, across = torch.arange(height, device=delta.device), torch.arange(width, device=delta.device)
    hit = ((down >= top[:, None]) & (down < top[:, None] + tall))[:, None, :, None]
    hit = hit & ((across >= left[:, None]) & (across < left[:, None] + wide))[:, None, None, :]
    signs = drawn(generator.spawn(1).signs(channels, 1, 1), delta)
    return torch.where(hit, eps * signs, delta)


def bumps(generator: Draws, image: Tensor, eps: float | Tensor, p: int = 2) -> Tensor:
    """The start under "l2" and "l1": a grid of bumps of random sign and turn, scaled to length eps."""
    _, channels, height, width = image.shape
    tall, wide = (max(1, side // 5) for side in (height, width))
    delta = torch.zeros_like(image)
    for k, (top, left) in enumerate(
        (a, b) for a in range(0, height - tall + 1, tall) for b in range(0, width - wide + 1, wide)
    ):
        signs = drawn(generator.spawn(k + 1).signs(channels, 1, 1), image)
        bump = _bump(generator.spawn(1000 + k), tall, wide, image, p)
        delta[:, :, top : top + tall, left : left + wide] = signs * bump
    return eps * delta / length(delta, p).clamp_min(1e-30)


def moved(generator: Draws, delta: Tensor, eps: float | Tensor, share: float, p: int = 2) -> Tensor:
    """Length moved from one window into another, where it is added to a bump; the whole has length eps."""
    _, channels, height, width = delta.shape
    tall, wide = window(share, height, width, least=3)
    to, source = (
        _inside(*_corner(generator.spawn(k), height - tall, width - wide, delta), tall, wide, delta) for k in (1, 2)
    )
    new = delta.clone()
    unused = (eps**p - length(delta, p) ** p).clamp_min(0)
    taken = torch.zeros_like(delta, dtype=torch.bool)
    taken[to] = taken[source] = True
    # What may be spent on each channel: the length in both windows, and a share of what the clipping left unused.
    spend = ((delta.abs() ** p * taken).sum((2, 3), keepdim=True) + unused / channels) ** (1 / p)
    fresh = drawn(generator.spawn(4).signs(channels, 1, 1), delta) * _bump(generator.spawn(3), tall, wide, delta, p)
    fresh = fresh + _unit(delta[to], p)
    new[source] = 0
    new[to] = _unit(fresh, p) * spend
    return new


def scattered(generator: Draws, image: Tensor, eps: float, bounds: Bounds) -> Tensor:
    """The start under "l0": ``eps`` values of each row at a bound."""
    rank = _rank(drawn(generator.uniform(*image.shape[1:]), image))
    return torch.where(rank < int(eps), _to_a_bound(generator.spawn(1), image, bounds), 0.0)


def swapped(generator: Draws, image: Tensor, delta: Tensor, eps: float, share: float, bounds: Bounds) -> Tensor:
    """A share of the changed values back to what they were, and as many others to a bound."""
    luck, changed = drawn(generator.uniform(*delta.shape[1:]), delta), delta != 0
    swaps = max(1, round(share * int(eps)))
    # Changed values come first in the one order and last in the other.
    kept = changed & (_rank(luck - changed.to(luck)) < int(eps) - swaps)
    fresh = ~changed & (_rank(luck + changed.to(luck)) < swaps)
    return torch.where(kept, delta, torch.where(fresh, _to_a_bound(generator.spawn(1), image, bounds), 0.0))


def _rank(values: Tensor) -> Tensor:
    """The place of each value in its row's order, the least being 0."""
    return values.flatten(1).argsort(dim=1, stable=True).argsort(dim=1).view_as(values)


def _to_a_bound(generator: Draws, image: Tensor, bounds: Bounds) -> Tensor:
    """For each value the way to one of the bounds, by chance; to the other where it is there already."""
    low, high = bounds or (0.0, 1.0)
    up = drawn(generator.signs(*image.shape[1:]), image) > 0
    up = (up & (image < high)) | (image <= low)
    return torch.where(up, high - image, low - image)


def _unit(windows: Tensor, p: int) -> Tensor:
    """Windows (n, channels, height, width) scaled to length one, each channel on its own."""
    return windows / windows.flatten(2).norm(p=p, dim=2).clamp_min(1e-30)[:, :, None, None]


def _corner(generator: Draws, down: int, across: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """The upper left corner of a window for each row."""
    return drawn(generator.integers(down + 1), like), drawn(generator.spawn(9).integers(across + 1), like)


def _inside(top: Tensor, left: Tensor, tall: int, wide: int, like: Tensor) -> tuple[Tensor, ...]:
    """Positions of a window in each row of (n, channels, height, width), for indexing."""
    n, channels = like.shape[:2]
    down = top[:, None] + torch.arange(tall, device=like.device)
    across = left[:, None] + torch.arange(wide, device=like.device)
    rows = torch.arange(n, device=like.device)[:, None, None, None]
    return (
        rows,
        torch.arange(channels, device=like.device)[:, None, None],
        down[:, None, :, None],
        across[:, None, None],
    )


def _bump(generator: Draws, tall: int, wide: int, like: Tensor, p: int) -> Tensor:
    """(n, 1, tall, wide) of length one: two hills of opposite sign, side by side or one above the other."""
    upright = np.vstack([_hill(tall - tall // 2, wide, p), -_hill(tall // 2, wide, p)])
    lying = np.hstack([_hill(tall, wide - wide // 2, p), -_hill(tall, wide // 2, p)])
    both = torch.tensor(np.stack([upright, lying]), dtype=like.dtype, device=like.device)
    return _unit(both[drawn(generator.integers(2), like)][:, None], p)


def _hill(tall: int, wide: int, p: int) -> np.ndarray:
    """Nested rectangles that grow towards the middle (equation 2 of the paper), steeper under "l1"."""
    if not tall or not wide:
        return np.zeros((tall, wide))
    layers = max(tall, wide) // 2
    down, across = (np.abs(np.arange(side) - (side - 1) / 2) for side in (tall, wide))
    away = np.maximum(down[:, None], across)
    levels = np.cumsum(1 / (layers + 1 - np.arange(layers + 1)) ** (4 / p))
    return levels[np.clip(layers - np.ceil(away).astype(int), 0, layers)]
