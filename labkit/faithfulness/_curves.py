"""Deletion and insertion curves: what is left of the target while positions go, in the order of an attribution."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from labkit.core.draws import Draws
from labkit.faithfulness._fills import second_fill
from labkit.faithfulness._positions import positions, support
from labkit.faithfulness._removing import left, order_by
from labkit.faithfulness._worth import worth
from labkit.models.classifier import Classifier


def areas(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    attribution: Tensor,
    change: Tensor,
    background: Tensor | None,
    generator: Draws,
    batch_size: int,
    *,
    steps: int,
    inserted: bool,
) -> tuple[Tensor, dict[str, Tensor]]:
    """(n,) areas under the curve with the baseline for a fill; the ``curve`` (n, steps + 1), and where there is a
    second fill the area with it, under its name, and the ``difference`` of that from the first."""
    removable = support(x, baseline)
    values = positions(attribution)
    rank = order_by(_towards(values, change) if model.outputs == "values" else values, removable, generator)
    measure = worth(model, x, target, baseline)

    def curve(fill: Tensor) -> Tensor:
        return left(model, x, fill, _gone(rank, removable, steps, inserted), measure, batch_size).T

    found = curve(baseline)
    area, more = _area(found), {"curve": found}
    if second := second_fill(model, x, background, generator.spawn(1)):
        name, fill = second
        more[name] = _area(curve(fill))
        more["difference"] = more[name] - area
    return area, more


def _towards(values: Tensor, change: Tensor) -> Tensor:
    """What supports the change from baseline to input, where that may be a fall. Maps without a negative value say how
    much each position matters and not which way: they stay."""
    signed = (values < 0).any(1)
    return torch.where((signed & (change < 0))[:, None], -values, values)


def _gone(rank: Tensor, removable: Tensor, steps: int, inserted: bool) -> Iterator[Tensor]:
    """Which positions are away at each step: the first ranked, or where they are inserted all others."""
    for step in range(steps + 1):
        first = removable & (rank < removable.sum(1, keepdim=True) * (step / steps))
        yield removable & ~first if inserted else first


def _area(curve: Tensor) -> Tensor:
    """The trapezoid rule over shares from 0 to 1."""
    return (curve[:, 1:] + curve[:, :-1]).mean(1) / 2
