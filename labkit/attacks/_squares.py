"""The proposals of the Square attack: perturbations (n, channels, height, width) that change one window a row."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from labkit.attacks._search import column, drawn
from labkit.attacks._search import l2 as length
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


def stripes(generator: Draws, image: Tensor, eps: float) -> Tensor:
    """The start under "linf": vertical stripes of -eps and eps, one pixel wide."""
    _, channels, _, width = image.shape
    return eps * drawn(generator.signs(channels, 1, width), image).expand_as(image)


def linf(generator: Draws, delta: Tensor, eps: float, share: float) -> Tensor:
    """A window filled with -eps or eps, one sign a channel."""
    _, channels, height, width = delta.shape
    tall, wide = window(share, height, width)
    top, left = _corner(generator, height - tall, width - wide, delta)
    down, across = torch.arange(height, device=delta.device), torch.arange(width, device=delta.device)
    hit = ((down >= top[:, None]) & (down < top[:, None] + tall))[:, None, :, None]
    hit = hit & ((across >= left[:, None]) & (across < left[:, None] + wide))[:, None, None, :]
    signs = drawn(generator.spawn(1).signs(channels, 1, 1), delta)
    return torch.where(hit, eps * signs, delta)


def bumps(generator: Draws, image: Tensor, eps: float) -> Tensor:
    """The start under "l2": a grid of bumps of random sign and turn, scaled to length eps."""
    _, channels, height, width = image.shape
    tall, wide = (max(1, side // 5) for side in (height, width))
    delta = torch.zeros_like(image)
    for k, (top, left) in enumerate(
        (a, b) for a in range(0, height - tall + 1, tall) for b in range(0, width - wide + 1, wide)
    ):
        signs = drawn(generator.spawn(k + 1).signs(channels, 1, 1), image)
        delta[:, :, top : top + tall, left : left + wide] = signs * _bump(generator.spawn(1000 + k), tall, wide, image)
    return eps * delta / column(length(delta).clamp_min(1e-30), delta)


def l2(generator: Draws, delta: Tensor, eps: float, share: float) -> Tensor:
    """Length moved from one window into another, where it is added to a bump; the whole has length eps."""
    _, channels, height, width = delta.shape
    tall, wide = window(share, height, width, least=3)
    to, source = (
        _inside(*_corner(generator.spawn(k), height - tall, width - wide, delta), tall, wide, delta) for k in (1, 2)
    )
    new = delta.clone()
    unused = (eps**2 - length(delta) ** 2).clamp_min(0)
    taken = torch.zeros_like(delta, dtype=torch.bool)
    taken[to] = taken[source] = True
    # What may be spent on each channel: the length in both windows, and a share of what the clipping left unused.
    spend = ((delta**2 * taken).sum((2, 3), keepdim=True) + unused[:, None, None, None] / channels).sqrt()
    here = delta[to]
    bump = _bump(generator.spawn(3), tall, wide, delta).expand_as(here)
    fresh = drawn(generator.spawn(4).signs(channels, 1, 1), delta) * bump
    fresh = fresh + here / here.flatten(2).norm(dim=2).clamp_min(1e-30)[:, :, None, None]
    new[source] = 0
    new[to] = fresh / fresh.flatten(2).norm(dim=2).clamp_min(1e-30)[:, :, None, None] * spend
    return new


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


def _bump(generator: Draws, tall: int, wide: int, like: Tensor) -> Tensor:
    """(n, 1, tall, wide) of length one: two hills of opposite sign, side by side or one above the other."""
    upright = np.vstack([_hill(tall - tall // 2, wide), -_hill(tall // 2, wide)])
    lying = np.hstack([_hill(tall, wide - wide // 2), -_hill(tall, wide // 2)])
    both = torch.tensor(np.stack([h / max(np.linalg.norm(h), 1e-30) for h in (upright, lying)]), dtype=like.dtype)
    return both.to(like.device)[drawn(generator.integers(2), like)][:, None]


def _hill(tall: int, wide: int) -> np.ndarray:
    """Nested rectangles that grow towards the middle (equation 2 of the paper)."""
    if not tall or not wide:
        return np.zeros((tall, wide))
    layers = max(tall, wide) // 2
    down, across = (np.abs(np.arange(side) - (side - 1) / 2) for side in (tall, wide))
    away = np.maximum(down[:, None], across)
    levels = np.cumsum(1 / (layers + 1 - np.arange(layers + 1)) ** 2)
    return levels[np.clip(layers - np.ceil(away).astype(int), 0, layers)]
