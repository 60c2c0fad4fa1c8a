"""Layer conductance: how much of the output's change flows through each place of a layer."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from labkit.attributions._layers import INSTEAD, chosen, laid, slopes
from labkit.core.method import Listed, Range
from labkit.models.classifier import Classifier
from labkit.models.layers import Layer


def layer_conductance(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    batch_size: int,
    *,
    layer: Annotated[str, Listed("layers"), "name of the layer; empty takes the last one that can be shown"] = "",
    tolerance: Annotated[float, Range(1e-4, 0.5, log=True), "what half of the steps may change of the map"] = 0.05,
    steps: Annotated[int, Range(2, 1024, log=True), "steps of the first round; each round doubles them"] = 16,
    max_steps: Annotated[int, Range(2, 65536, log=True), "steps after which a row is left as it is"] = 512,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Integrated gradients of the input as they pass through the units of a layer (Dhamdhere, Sundararajan and Yan, 2018,
    arXiv 1805.12233): along the straight line from baseline to input, the target's slope at a unit times the unit's
    change. Channels are added up, and each place's value is shared out over the entries near it, so that the map adds up
    to what flows through the layer.

    A row is done when every other step gives the same map, within ``tolerance`` of the sum of its absolute values.

    Returns:
        Like x, in logits, the same for every channel. The ``layer_total`` of a row is the target's change where all of it
        flows through the layer, and less in a branch of a residual block. Also the ``steps`` that each row took.

    Raises:
        Refused: what ``grad_cam`` refuses.
    """
    model.require("gradients", by="layer_conductance", instead=INSTEAD)
    found = chosen("layer_conductance", model, x, layer, any_kind=True)
    used = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    active, count = torch.arange(len(x), device=x.device), steps + steps % 2
    kept: Tensor | None = None
    while True:
        fine, coarse = _along(model, x[active], target[active], baseline[active], found, count, batch_size)
        kept = torch.zeros(len(x), *fine.shape[1:]).to(fine) if kept is None else kept
        kept[active], used[active] = fine, count
        gap, size = ((v.flatten(1).abs().sum(1)) for v in (fine - coarse, fine))
        active = active[gap > tolerance * size]
        count *= 2
        if not len(active) or count > max_steps:
            return laid(kept, x, found, keep_sum=True), {"layer_total": kept.flatten(1).sum(1), "steps": used}


def _along(
    model: Classifier, x: Tensor, target: Tensor, baseline: Tensor, layer: Layer, count: int, batch_size: int
) -> tuple[Tensor, Tensor]:
    """(n, *positions) conductance by the trapezoid rule with all of the steps, and with every other one."""
    sums: list[Tensor | float] = [0.0, 0.0]
    last: list[tuple[Tensor, Tensor] | None] = [None, None]
    each = max(1, batch_size // len(x))
    for start in range(0, count + 1, each):
        numbers = range(start, min(start + each, count + 1))
        shares = torch.tensor([i / count for i in numbers], dtype=x.dtype, device=x.device)
        stacked = baseline + shares.reshape(-1, *[1] * x.ndim) * (x - baseline)
        found = [v.unflatten(0, (len(numbers), len(x))) for v in slopes(model, stacked.flatten(0, 1), target, layer)]
        for number, value, slope in zip(numbers, *found):
            for rule in range(1 if number % 2 else 2):
                before, last[rule] = last[rule], (value, slope)
                if before is not None:
                    step = (value - before[0]).double() * (slope + before[1]) / 2
                    sums[rule] = sums[rule] + step.sum(1)
    return torch.as_tensor(sums[0]), torch.as_tensor(sums[1])
