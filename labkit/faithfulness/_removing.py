"""Taking positions away from an input, and asking the model what is left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import torch
from torch import Tensor

from labkit.core.draws import Draws
from labkit.faithfulness._positions import replaced, support
from labkit.faithfulness._worth import Worth, column
from labkit.models.classifier import Classifier


def left(model: Classifier, x: Tensor, fill: Tensor, gone: Iterable[Tensor], worth: Worth, batch_size: int) -> Tensor:
    """(k, n) of the worth of x without the positions in each of k masks (n, positions), which ``fill`` replaces."""
    parts = []
    with torch.no_grad():
        for masks in _grouped(gone, max(1, batch_size // len(x))):
            out = model(torch.cat([replaced(x, fill, mask) for mask in masks]))
            parts.append(worth(out).reshape(len(masks), len(x)))
    return torch.cat(parts)


def falls(
    model: Classifier, x: Tensor, target: Tensor, baseline: Tensor, gone: Iterable[Tensor], batch_size: int
) -> Tensor:
    """(k, n) by how much the target's column falls when the positions of each mask take the baseline's values."""

    def value(out: Tensor) -> Tensor:
        return column(out.double(), target)

    whole = left(model, x, baseline, [torch.zeros_like(support(x, baseline))], value, batch_size)
    return whole - left(model, x, baseline, gone, value, batch_size)


def random_ranks(where: Tensor, generator: Draws) -> Tensor:
    """(n, positions) the order, from 0 on, in which chance takes the positions ``where``; the others come last."""
    return order_by(torch.zeros(where.shape, device=where.device), where, generator)


def order_by(values: Tensor, where: Tensor, generator: Draws) -> Tensor:
    """(n, positions): 0 for the position of the largest value. Ties go by chance, positions outside ``where`` last."""
    by_chance = torch.from_numpy(generator.uniform(values.shape[1])).to(values.device).argsort(1)
    values = values.double().masked_fill(~where, -torch.inf).gather(1, by_chance)
    order = by_chance.gather(1, values.argsort(dim=1, descending=True, stable=True))
    return order.argsort(1)


def _grouped(masks: Iterable[Tensor], size: int) -> Iterator[list[Tensor]]:
    source = iter(masks)
    while group := list(islice(source, size)):
        yield group
