"""Training what interval bounds can prove."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from labkit.core.refused import Refused
from labkit.models.normalize import Normalize
from labkit.training.members import Members
from labkit.training.objectives import Objective, cross_entropy

Interval = tuple[Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class IntervalBounds(Objective):
    """Cross-entropy at the inputs and at the worst logits that interval arithmetic cannot rule out, half each in the end.

    The worst logits bound every input within ``eps``: where the true class still leads, the answer is proven. While
    training, the budget grows from 0 over the first ``ramp`` of all steps, and the weight of the worst logits with it up
    to ``weight``: bounds that begin loose teach nothing. An epoch is judged by the share that is proven at ``eps``.

    For a single network that is a sequence of convolutions, linear layers, ReLU and flattening, behind normalisation.

    Source: Gowal et al., 2018, arXiv 1810.12715.

    Attributes:
        eps: how far each input entry may move (Linf), in the data's unit.
        weight: of the worst logits' cross-entropy, at the end; the rest is that of the inputs themselves.
        ramp: share of all steps over which budget and weight grow.
        bounds: least and greatest value of an input.
    """

    eps: float
    weight: float = 0.5
    ramp: float = 0.5
    bounds: tuple[float, float] = (0.0, 1.0)

    def at(self, share: float) -> IntervalBounds:
        grown = min(1.0, share / self.ramp)
        return replace(self, eps=grown * self.eps, weight=grown * self.weight)

    def loss(self, answer: Members, x: Tensor, y: Tensor) -> Tensor:
        plain, proven = cross_entropy(answer(x), y), cross_entropy(self.worst(answer, x, y), y)
        return ((1 - self.weight) * plain + self.weight * proven).mean(1)

    @torch.no_grad()
    def judge(self, answer: Members, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """(1, n) cross-entropy of the worst logits, and 1 where no class can overtake the true one."""
        worst = self.worst(answer, x, y)
        rivals = worst.scatter(2, y[..., None], -torch.inf).amax(2)
        return cross_entropy(worst, y), (rivals < 0).float()

    def worst(self, answer: Members, x: Tensor, y: Tensor) -> Tensor:
        """(1, n, classes) at most by how much each class leads the true one within ``eps`` of x; 0 for the true one."""
        model: Members = getattr(answer, "module", answer)
        layers = list(model.only) if model.count == 1 and isinstance(model.only, nn.Sequential) else []
        if not layers or not isinstance(layers[-1], nn.Linear):
            given = f"{model.count} x {type(model._called[0]).__name__}"
            raise Refused(
                "interval bounds in training", given, "one network at a time, an nn.Sequential that ends linear"
            )
        low, high = ((x[0] + side).clamp(*self.bounds) for side in (-self.eps, self.eps))
        for layer in layers[:-1]:
            low, high = through(layer, low, high)
        head = layers[-1]
        # the last layer and the difference to the true class are one linear map: bounded together, they are tighter
        leads, offsets = head.weight - head.weight[y[0]][:, None], head.bias - head.bias[y[0]][:, None]
        middle, reach = (high + low) / 2, (high - low) / 2
        bound = torch.einsum("nch,nh->nc", leads, middle) + torch.einsum("nch,nh->nc", leads.abs(), reach)
        return (bound + offsets)[None]


def through(layer: nn.Module, low: Tensor, high: Tensor) -> Interval:
    """The least box that holds what one layer makes of a box of inputs.

    Raises:
        Refused: a layer that is neither linear nor grows in each entry.
    """
    if isinstance(layer, nn.ReLU | nn.Flatten | Normalize):
        return layer(low), layer(high)
    middle, reach = (high + low) / 2, (high - low) / 2
    if isinstance(layer, nn.Linear):
        middle, reach = layer(middle), functional.linear(reach, layer.weight.abs())
    elif isinstance(layer, nn.Conv2d):
        middle, reach = layer(middle), layer._conv_forward(reach, layer.weight.abs(), None)
    else:
        instead = "convolutions, linear layers, ReLU, Flatten and Normalize"
        raise Refused("interval bounds in training", f"a layer {type(layer).__name__}", instead)
    return middle - reach, middle + reach
