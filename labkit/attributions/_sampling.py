"""Means over random draws, taken until each row's standard error is small enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from labkit.attributions._passes import entries, gradient
from labkit.core.draws import Draws
from labkit.models.classifier import Classifier

# Rows and numbers of draws -> (numbers, rows, ...) what is drawn: the same for a row whatever its company.
Draw = Callable[[Tensor, range], Tensor]
# Raw moments (order, rows, ...) of so many draws -> the estimate and its standard error, each (rows, ...).
Estimate = Callable[[Tensor, int], tuple[Tensor, Tensor]]


class Sampled(NamedTuple):
    """Estimates, and the facts of each row: the ``standard_error`` of each, how many ``samples`` it took, and whether it
    ``reached`` the tolerance."""

    values: Tensor
    facts: dict[str, Tensor]


def mean(moments: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The mean, and its standard error."""
    first, second = moments
    return first, ((second - first.square()).clamp_min(0) / (n - 1)).sqrt()


def size_of_mean(moments: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The mean's absolute value, and the mean's standard error."""
    found, error = mean(moments, n)
    return found.abs(), error


def variance(moments: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The variance, and its standard error from the fourth central moment."""
    m1, m2, m3, m4 = moments
    central = (m2 - m1.square()).clamp_min(0)
    fourth = m4 - 4 * m1 * m3 + 6 * m1.square() * m2 - 3 * m1**4
    found = central * n / (n - 1)
    return found, ((fourth - (n - 3) / (n - 1) * found.square()) / n).clamp_min(0).sqrt()


def sample_until(
    draw: Draw,
    x: Tensor,
    *,
    tolerance: float,
    samples: int,
    max_samples: int,
    batch_size: int,
    scale: Tensor | None = None,
    estimate: Estimate = mean,
    orders: int = 2,
) -> Sampled:
    """Draw until the largest standard error of a row is at most ``tolerance`` of its ``scale``.

    Rows that are there leave. They are asked after ``samples`` draws, then after half as many more each time, never
    within a pass, so that the answer does not depend on ``batch_size``.

    Args:
        scale: (n,) what the error is a share of; None takes the largest value of the row's own map.
        estimate, orders: what is made of the mean powers of the draws, and up to which power. Sums are float64.
    """
    active = torch.arange(len(x), device=x.device)
    sums = torch.zeros(0)
    values, errors = torch.zeros(2, *x.shape, dtype=torch.float64, device=x.device)
    taken = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    reached = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    done, goal = 0, samples
    while True:
        each = max(1, batch_size // len(active))
        for i in range(done, goal, each):
            drawn = draw(active, range(i, min(i + each, goal))).double()
            added = torch.stack([(drawn**order).sum(0) for order in range(1, orders + 1)])
            sums = sums + added if i else added
        found, error = (entries(part, x) for part in estimate(sums / goal, goal))
        values[active], errors[active], taken[active] = found, error, goal
        size = found.abs().flatten(1).amax(1) if scale is None else scale[active].abs()
        left = error.flatten(1).amax(1) > tolerance * size
        reached[active] = ~left
        if goal >= max_samples or not left.any():
            return Sampled(values, {"standard_error": errors, "samples": taken, "reached": reached})
        active, sums = active[left], sums[:, left]
        done, goal = goal, min(goal + max(1, goal // 2), max_samples)


def noisy_gradients(model: Classifier, x: Tensor, target: Tensor, generator: Draws, noise: float) -> Draw:
    """Draws of the target's gradient at copies of the input with Gaussian noise.

    The noise's standard deviation is ``noise`` times the range of each row's own values.
    """
    z, _ = model.relax(x)
    flat = z.flatten(1)
    scale = (noise * (flat.amax(1) - flat.amin(1))).reshape(-1, *[1] * (z.ndim - 1))
    if model.padding is not None and z.shape == x.shape:
        scale = scale * (x != model.padding)  # noise would turn padding into values

    def draw(rows: Tensor, numbers: range) -> Tensor:
        streams = generator[rows.cpu().numpy()]
        noises = torch.stack([torch.from_numpy(streams.spawn(i).normal(*z.shape[1:])) for i in numbers]).to(z)
        at = z[rows] + scale[rows] * noises
        _, forward = model.relax(x[rows])
        return gradient(forward, at.flatten(0, 1), target[rows]).reshape(at.shape)

    return draw
