"""Padding is nothing: what text models share so that an answer does not depend on it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

PADDING = 0


class Places(NamedTuple):
    """Where the words of a batch of texts stand.

    Attributes:
        order: (n, longest) places of the words, those of padding behind them, cut to the longest text of the batch.
        length: (n, 1) how many words each text has.
        inside: (n, longest) whether the text reaches so far.
    """

    order: Tensor
    length: Tensor
    inside: Tensor

    def take(self, values: Tensor) -> Tensor:
        """(n, tokens, width) values -> (n, longest, width) those of the words, in order."""
        return take(values, self.order)

    def mean(self, values: Tensor) -> Tensor:
        """(n, longest, width) -> (n, width) over the words of each text; zero for a text without any."""
        return (values * self.inside[:, :, None]).sum(1) / self.length.clamp_min(1)

    def most(self, values: Tensor, least: float) -> Tensor:
        """(n, longest, width) -> (n, width) greatest over the words of each text; ``least`` for a text without any."""
        return values.masked_fill(~self.inside[:, :, None], least).amax(1)


def places(x: Tensor) -> Places:
    """(n, tokens) word numbers -> where the words stand: padding is left out wherever it is."""
    real = x != PADDING
    length = real.sum(1, keepdim=True)
    longest = max(1, int(length.max()))
    order = torch.argsort(real.logical_not().to(torch.uint8), dim=1, stable=True)[:, :longest]
    inside = torch.arange(longest, device=x.device) < length
    return Places(order, length, inside)


def take(values: Tensor, where: Tensor) -> Tensor:
    """(n, tokens, width) values at (n, chosen) places."""
    return values.gather(1, where[:, :, None].expand(-1, -1, values.shape[2]))
