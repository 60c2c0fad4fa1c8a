"""Rules of layers with weights: which share of an output's relevance each input gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from labkit.attributions._rules.signal import also, carrier, complete, label, over

Kind = Literal["epsilon", "gamma", "z_plus"]
First = Literal["", "flat", "w2"]
Apply = Callable[[Tensor, Tensor], Tensor]  # (input, weight) -> output without bias
Mix = Callable[[Tensor, Tensor], Tensor]  # (sum of parts, sum of their sizes) -> what the parts count together
ROUNDING = 1e-6  # a sum of positive parts below this share of all sizes is rounding


@dataclass(frozen=True)
class Layers:
    """The rules of a composite: for convolutions, for dense layers, and for the first layer that sees the input.

    An output hands its relevance on in proportion to its parts, input times weight (epsilon); to these, with parts of the
    output's own sign counted 1 + gamma times (gamma); or to positive parts alone (z_plus). The bias is one part more.
    """

    convolution: Kind
    dense: Kind
    first: First
    epsilon: float
    gamma: float

    def output(self, kind: Kind, apply: Apply, x: Tensor, weight: Tensor, bias: Tensor | None, axis: int) -> Tensor:
        """The layer's output, with the gradient that passes its relevance on.

        Args:
            apply: the layer without its bias.
            axis: the output's axis of features, counted from the last as -1.
        """
        total = apply(x, weight)
        shift = total.new_zeros(()) if bias is None else bias.reshape(-1, *[1] * (-1 - axis))
        value = total.detach() + shift
        ones = carrier(x)
        if self.first and ones is not None:
            return _by_connection(self.first, apply, ones, weight, value)
        if kind == "epsilon":
            size = value.abs()
            share = over(size, size + self.epsilon * size.square().mean(axis, keepdim=True).sqrt())
            return complete(total * share, value, also(lambda v: apply(v, weight) * share, x))
        mix, counted = (self._own_sign if kind == "gamma" else _positive)(value, shift)
        direction, size = x.detach().sign(), weight.abs()
        sizes = apply(x * direction, size)
        part = mix(total, sizes)
        whole = part.detach() + counted
        if kind == "z_plus":
            whole = torch.where(part.detach() > ROUNDING * sizes.detach(), whole, 0.0)
        share = over(value, whole)
        before = also(lambda v: mix(apply(v, weight), apply(v * direction, size)) * share, x)
        return complete(part * share, value, before)

    def _own_sign(self, value: Tensor, shift: Tensor) -> tuple[Mix, Tensor]:
        """How parts count, and what the bias counts."""
        up, half = value > 0, self.gamma / 2
        sign = torch.where(up, half, -half).to(value)
        own = torch.where(up, shift.clamp_min(0), shift.clamp_max(0))
        return lambda total, sizes: total * (1 + half) + sizes * sign, shift + self.gamma * own


def _positive(value: Tensor, shift: Tensor) -> tuple[Mix, Tensor]:
    return lambda total, sizes: (total + sizes) / 2, shift.clamp_min(0)


def _by_connection(rule: First, apply: Apply, ones: Tensor, weight: Tensor, value: Tensor) -> Tensor:
    """Relevance whatever the input's value: even shares (flat), or by the squares of the weights (w2)."""
    part = apply(ones, torch.ones_like(weight) if rule == "flat" else weight.square())
    whole = part * over(value, part)
    rest = value - whole.detach()
    return label(whole + rest, rest)
