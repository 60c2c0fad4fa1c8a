"""What a function that is not affine lies between, on an interval: two affine ones, and two numbers.

Lines are (low slope, low shift, high slope, high shift): low slope * x + low shift <= f(x) <= high slope * x + high
shift for every x from ``low`` to ``high``. Slopes have the shape of the input, shifts that of the value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

Lines = tuple[Tensor, Tensor, Tensor, Tensor]


class Relaxation(Protocol):
    """A function with what it lies between."""

    def value(self, x: Tensor) -> Tensor:
        """The function."""

    def ends(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """The least and the greatest value on the interval."""

    def lines(self, low: Tensor, high: Tensor) -> Lines:
        """Affine bounds on the interval."""

    def loose(self, low: Tensor, high: Tensor) -> Tensor:
        """Which entries of the input a narrower interval would help."""


@dataclass(frozen=True)
class Bent:
    """x above zero, ``below`` * x under it (at most 1, so that it is convex): ReLU 0, leaky ReLU 0.01, absolute value -1.

    The line above is the chord. The line below goes through zero with the slope of the longer side, which leaves the
    smaller area (Zhang et al., 2018, arXiv 1811.00866).
    """

    below: float

    def value(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, self.below * x)

    def ends(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        one, other = self.value(low), self.value(high)
        least = torch.minimum(one, other)
        if self.below < 0:
            least = torch.where((low < 0) & (high > 0), 0.0, least)
        return least, torch.maximum(one, other)

    def lines(self, low: Tensor, high: Tensor) -> Lines:
        across = self.loose(low, high)
        # A side's own slope where the interval has one side only.
        below = torch.full_like(low, self.below)  # as precise as the interval
        own = torch.where(low >= 0, 1.0, below)
        width = torch.where(across, high - low, 1.0)
        chord = torch.where(across, (high - self.below * low) / width, own)
        under = torch.where(across, torch.where(high >= -low, 1.0, below), own)
        above = torch.where(across, (self.below - chord) * low, 0.0)
        return under, torch.zeros_like(low), chord, above

    def loose(self, low: Tensor, high: Tensor) -> Tensor:
        return (low < 0) & (high > 0)


@dataclass(frozen=True)
class Smooth:
    """Sigmoid or tanh: steepest at zero, so no steeper at any point between two than it is flat at one of them.

    Both lines have that least slope; one goes through each end.
    """

    name: str

    def value(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x) if self.name == "sigmoid" else torch.tanh(x)

    def ends(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        return self.value(low), self.value(high)

    def lines(self, low: Tensor, high: Tensor) -> Lines:
        (a, b), one = self.ends(low, high), torch.ones_like(low)
        steep = (a * (1 - a), b * (1 - b)) if self.name == "sigmoid" else (one - a * a, one - b * b)
        slope = torch.minimum(*steep)
        return slope, a - slope * low, slope, b - slope * high

    def loose(self, low: Tensor, high: Tensor) -> Tensor:
        return high > low


@dataclass(frozen=True)
class Greatest:
    """The greatest along the last axis: at least the entry whose least value is highest; and at most the greater of the
    entry m that reaches highest and what the others reach, of which the chord over m is affine."""

    def value(self, x: Tensor) -> Tensor:
        return x.amax(-1)

    def ends(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        return low.amax(-1), high.amax(-1)

    def lines(self, low: Tensor, high: Tensor) -> Lines:
        best = functional.one_hot(low.argmax(-1), low.shape[-1]).to(low)
        m = high.argmax(-1, keepdim=True)
        top, least = high.gather(-1, m)[..., 0], low.gather(-1, m)[..., 0]
        others = high.scatter(-1, m, -torch.inf).amax(-1)
        floor = torch.maximum(least, others)
        slope = torch.where(others > least, (top - floor) / (top - least).clamp_min(1e-300), 1.0)
        above = torch.zeros_like(high).scatter(-1, m, slope[..., None])
        return best, torch.zeros_like(top), above, floor - slope * least

    def loose(self, low: Tensor, high: Tensor) -> Tensor:
        may = high > low.amax(-1, keepdim=True)
        return may & (may.sum(-1, keepdim=True) > 1)
