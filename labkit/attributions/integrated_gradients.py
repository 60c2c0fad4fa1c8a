"""Integrated gradients, with as many steps as each row needs."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from labkit.attributions._passes import WITHOUT_GRADIENTS, gradient, score
from labkit.core.method import Range
from labkit.models.classifier import Classifier, Forward


def integrated_gradients(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    batch_size: int,
    *,
    tolerance: Annotated[float, Range(1e-4, 0.5, log=True), "completeness gap at which a row is done"] = 0.01,
    steps: Annotated[int, Range(2, 1024, log=True), "steps of the first round; each round doubles them"] = 32,
    max_steps: Annotated[int, Range(2, 65536, log=True), "steps after which a row is left as it is"] = 2048,
) -> Annotated[tuple[Tensor, dict[str, Tensor]], "complete", "relaxed"]:
    """The gradient averaged over the straight line from baseline to input, times their difference (Sundararajan, Taly
    and Yan, 2017, arXiv 1703.01365).

    The trapezoid rule is nested: each round doubles the steps and computes only the new points. A row leaves the
    batch when its values add up to the change of its logit within ``tolerance`` of that change.

    Over an embedding the line runs between the vectors of input and baseline, while whatever else the model reads of
    the input (such as where its padding is) stays the input's.

    Returns:
        Values like x in logits, and the ``steps`` that each row took.
    """
    model.require("gradients", by="integrated_gradients", instead=WITHOUT_GRADIENTS)
    z, forward = model.relax(x)
    start, _ = model.relax(baseline)
    change = score(forward(z), target) - score(forward(start), target)
    difference = z - start
    mean = torch.zeros_like(z)
    used = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    active = torch.arange(len(x), device=x.device)
    count = steps
    while True:
        _, forward = model.relax(x[active])
        at, path = start[active], difference[active]
        first = count == steps
        inner = [i / count for i in (range(1, count) if first else range(1, count, 2))]
        total = _along(forward, at, path, target[active], inner, batch_size)
        if first:
            total += 0.5 * _along(forward, at, path, target[active], [0.0, 1.0], batch_size)
        mean[active] = total / count if first else mean[active] / 2 + total / count
        used[active] = count
        gap = ((path * mean[active]).flatten(1).sum(1) - change[active]).abs()
        active = active[gap > tolerance * change[active].abs()]
        count *= 2
        if not len(active) or count > max_steps:
            return difference * mean, {"steps": used}


def _along(
    forward: Forward, start: Tensor, path: Tensor, target: Tensor, points: list[float], batch_size: int
) -> Tensor:
    """The sum of the gradients at these points of each row's line."""
    total = torch.zeros_like(start)
    each = max(1, batch_size // len(start))
    for i in range(0, len(points), each):
        share = torch.tensor(points[i : i + each], dtype=start.dtype, device=start.device)
        stacked = start + share.reshape(-1, *[1] * start.ndim) * path
        total += gradient(forward, stacked.flatten(0, 1), target).reshape(stacked.shape).sum(0)
    return total
