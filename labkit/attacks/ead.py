"""The elastic-net attack: sparse changes of small size."""

from __future__ import annotations

from typing import Annotated, Literal

from torch import Tensor

from labkit.attacks._nearest import Nearest, weighed
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def ead(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    norm: Literal["l1"],
    *,
    searches: Annotated[int, Range(1, 30), "weights tried for each row"] = 6,
    steps: Annotated[int, Range(1, 10_000, log=True), "gradient steps for each weight, at most"] = 100,
    step_size: Annotated[float, Range(1e-4, 1, log=True), "first step; it shrinks to nothing by a square root"] = 0.01,
    threshold: Annotated[float, Range(0, 1), "what each change loses in a step, in units of the range"] = 0.05,
    weight: Annotated[
        float, Range(1e-6, 1e6, log=True), "first weight of the true class's lead, in units of its first"
    ] = 1.0,
) -> Tensor:
    """Minimizes the squared distance, the sum of absolute changes and the weighted lead of the true class.

    Each step goes down the smooth part and then lessens every change by the threshold, so that small ones vanish
    (iterative shrinkage, with momentum). The weight is found for each row by bisection. It looks for the smallest
    perturbation, so it names no budget.

    Source: Chen, Sharma, Zhang, Yi and Hsieh, 2018, arXiv 1709.04114.
    """
    assert model.bounds
    bounds = model.bounds
    return weighed(
        model,
        Nearest(x, y, norm),
        lambda: _Shrinking(x, bounds, steps, step_size, threshold),
        searches=searches,
        steps=steps,
        weight=weight,
        patience=steps,  # the first, long steps pass over what the last ones find: a sum that rises is no end
    )


class _Shrinking:
    """Points that go down a slope and are drawn back to their rows, with momentum."""

    def __init__(self, x: Tensor, bounds: tuple[float, float], steps: int, size: float, threshold: float) -> None:
        self.bounds, self.span, self.steps, self.size = bounds, bounds[1] - bounds[0], steps, size
        self.x, self.points, self.last, self.threshold = x, x, x, threshold * self.span
        self.taken = 0

    def cost(self) -> Tensor:
        away = ((self.points - self.x) / self.span).flatten(1)
        return (away**2).sum(1) + self.threshold / self.span / self.size * away.abs().sum(1)

    def step(self, slope: Tensor) -> None:
        # in units of the range: a slope there is that of the inputs times the range
        slope = slope * self.span + 2 * (self.points - self.x) / self.span
        size = self.size * max(0.0, 1 - self.taken / self.steps) ** 0.5
        change = self.points - size * self.span * slope - self.x
        change = change.sign() * (change.abs() - self.threshold).clamp_min(0)
        now = (self.x + change).clamp(*self.bounds)
        self.points = (now + self.taken / (self.taken + 3) * (now - self.last)).clamp(*self.bounds)
        self.last = now
        self.taken += 1

    def keep(self, rows: Tensor) -> None:
        self.x, self.points, self.last = self.x[rows], self.points[rows], self.last[rows]
