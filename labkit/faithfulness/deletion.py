"""Does the output fall when what the attribution ranks first is taken away?"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.faithfulness._positions import positions, replaced, support
from labkit.models.classifier import Classifier


def deletion(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    attribution: Tensor,
    generator: Draws,
    *,
    steps: Annotated[int, Range(2, 200), "points of the curve after the first"] = 20,
) -> Annotated[tuple[Tensor, dict[str, Tensor]], "lower"]:
    """The area under the deletion curve (Petsiuk, Das and Saenko, 2018, arXiv 1806.07421): the target's probability
    while the positions that differ from the baseline are replaced by it, highest attribution first.

    Ties are ordered by chance, so a constant map is a random one. Inputs with bounds are also filled with uniform
    noise: where the two areas tell different stories, the fill does the talking (Sturmfels, Lundberg and Lee, 2020,
    doi 10.23915/distill.00022).

    Returns:
        (n,) areas in [0, 1], lower is better; the ``curve`` (n, steps + 1), and the ``noise`` areas where there are any.
    """
    removable = support(x, baseline)
    rank = _rank(positions(attribution), removable, generator)
    curve = _curve(model, x, target, baseline, rank, removable, steps)
    more = {"curve": curve}
    if model.bounds is not None:
        low, high = model.bounds
        noise = low + (high - low) * torch.from_numpy(generator.spawn(1).uniform(*x.shape[1:])).to(x)
        more["noise"] = _area(_curve(model, x, target, noise, rank, removable, steps))
    return _area(curve), more


def _rank(values: Tensor, removable: Tensor, generator: Draws) -> Tensor:
    """(n, positions): 0 for the position that goes first. Positions that stay come last."""
    by_chance = torch.from_numpy(generator.uniform(values.shape[1])).to(values.device).argsort(1)
    values = values.double().masked_fill(~removable, -torch.inf).gather(1, by_chance)
    order = by_chance.gather(1, values.argsort(dim=1, descending=True, stable=True))
    return order.argsort(1)


def _curve(
    model: Classifier, x: Tensor, target: Tensor, fill: Tensor, rank: Tensor, removable: Tensor, steps: int
) -> Tensor:
    points = []
    with torch.no_grad():
        for step in range(steps + 1):
            gone = removable & (rank < removable.sum(1, keepdim=True) * (step / steps))
            proba = model(replaced(x, fill, gone)).double().softmax(1)
            points.append(proba.gather(1, target[:, None])[:, 0])
    return torch.stack(points, 1)


def _area(curve: Tensor) -> Tensor:
    """The trapezoid rule over shares removed from 0 to 1."""
    return (curve[:, 1:] + curve[:, :-1]).mean(1) / 2
