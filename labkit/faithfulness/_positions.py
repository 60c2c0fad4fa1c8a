"""Positions of an input: an image's pixels with all their channels together, elsewhere its entries."""

from __future__ import annotations

import torch
from torch import Tensor


def positions(values: Tensor) -> Tensor:
    """(n, positions) of an attribution: channels of (n, channels, height, width) are summed."""
    return (values.sum(1) if values.ndim == 4 else values).flatten(1)


def support(x: Tensor, baseline: Tensor) -> Tensor:
    """(n, positions) booleans: where the input differs from the baseline."""
    differs = x != baseline
    return (differs.any(1) if x.ndim == 4 else differs).flatten(1)


def replaced(x: Tensor, fill: Tensor, where: Tensor) -> Tensor:
    """x with the positions ``where`` (n, positions) taken from ``fill``."""
    shape = (len(x), 1, *x.shape[2:]) if x.ndim == 4 else x.shape
    return torch.where(where.reshape(shape), fill, x)
