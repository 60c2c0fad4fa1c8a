"""The attack of Carlini and Wagner under the Euclidean norm."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks._nearest import Nearest, weighed
from labkit.attacks._search import l2
from labkit.core.method import Range
from labkit.models.classifier import Classifier

# The tangent reaches beyond the bounds by this share: an input at its bound would hardly move otherwise.
_WIDER = 1.02


def carlini_wagner(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    norm: Literal["l2"],
    *,
    searches: Annotated[int, Range(1, 30), "weights tried for each row"] = 6,
    steps: Annotated[int, Range(1, 10_000, log=True), "gradient steps for each weight, at most"] = 100,
    step_size: Annotated[float, Range(1e-4, 1, log=True), "step of Adam, in the tangent space"] = 0.03,
    weight: Annotated[
        float, Range(1e-6, 1e6, log=True), "first weight of the true class's lead, in units of its first"
    ] = 1.0,
) -> Tensor:
    """Minimizes the squared distance plus a weight times the lead of the true class, as long as it leads.

    Points are written as a hyperbolic tangent, which keeps them within the bounds. The weight is found for each row by
    bisection, and each row stops where its own sum falls no more. Distances count in units of the whole range, and the lead
    in units of the first one, so that weights mean the same for all data and models. It looks for the smallest perturbation, so it names no budget.

    Source: Carlini and Wagner, 2017, arXiv 1608.04644; steps by Adam: Kingma and Ba, 2015, arXiv 1412.6980.
    """
    assert model.bounds
    bounds = model.bounds
    return weighed(
        model,
        Nearest(x, y, norm),
        lambda: _Tangent(x, bounds, step_size),
        searches=searches,
        steps=steps,
        weight=weight,
        patience=max(1, steps // 10),
    )


class _Tangent:
    """Points as a hyperbolic tangent, moved by Adam."""

    def __init__(self, x: Tensor, bounds: tuple[float, float], size: float) -> None:
        self.bounds, self.size, self.taken = bounds, size, 0
        self.middle, self.half = sum(bounds) / 2, _WIDER * (bounds[1] - bounds[0]) / 2
        self.x, self.at = x, torch.atanh((x - self.middle) / self.half)
        self.mean, self.square = torch.zeros_like(x), torch.zeros_like(x)

    @property
    def free(self) -> Tensor:
        """The points before they are cut to the bounds."""
        return self.middle + self.half * self.at.tanh()

    @property
    def away(self) -> Tensor:
        return (self.free - self.x) / (self.bounds[1] - self.bounds[0])

    @property
    def points(self) -> Tensor:
        return self.free.clamp(*self.bounds)

    def cost(self) -> Tensor:
        return l2(self.away) ** 2

    def step(self, slope: Tensor) -> None:
        # the slope at the cut points goes to the uncut ones: through the cut it would be none at the bounds
        slope = slope + 2 * self.away / (self.bounds[1] - self.bounds[0])
        slope = slope * self.half * (1 - self.at.tanh() ** 2)
        self.taken += 1
        self.mean = 0.9 * self.mean + 0.1 * slope
        self.square = 0.999 * self.square + 0.001 * slope**2
        scale = (self.square / (1 - 0.999**self.taken)).sqrt() + 1e-8
        self.at = self.at - self.size * self.mean / (1 - 0.9**self.taken) / scale

    def keep(self, rows: Tensor) -> None:
        self.x, self.at, self.mean, self.square = (v[rows] for v in (self.x, self.at, self.mean, self.square))
