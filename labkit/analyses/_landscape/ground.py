"""The loss of some rows at other weights than the model's own, which stay as they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, vmap
from torch.nn.functional import cross_entropy

from labkit.analyses._guard import Run, batched
from labkit.core.cost import DONE
from labkit.core.resampling import stream
from labkit.models.classifier import Classifier
from labkit.models.layers import CONVOLUTIONS
from labkit.models.work import SEEN, flops

Weights = Mapping[str, Tensor]
MOST = 2**25  # numbers in one stack of weights and what the layers make of the rows: 128 MB in single precision


@dataclass(frozen=True)
class Ground:
    """A model, and the rows whose loss (cross-entropy) is looked at.

    Attributes:
        x: (n, ...) inputs; y: (n,) labels.
    """

    run: Run
    model: Classifier
    x: np.ndarray
    y: np.ndarray

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """The model's parameters that hold fractions, by name."""
        return {name: p.detach() for name, p in self.model.module.named_parameters() if p.is_floating_point()}

    def losses(self, weights: Weights, rows: slice = slice(None)) -> Tensor:
        """(rows,) float64 losses at these weights; those that are not named are the model's own."""
        model = self.model
        output = functional_call(model.module, dict(weights), (model.tensor(self.x[rows]),))
        logits = model.logits(output) if model.read is None else model.read(output)
        target = torch.from_numpy(np.array(self.y[rows])).to(logits.device)
        return cross_entropy(logits.double(), target, reduction="none")

    def passed(self, rows: slice, forwards: int, backwards: int = 0) -> None:
        """Count so many passes of these rows; a second derivative counts as two passes back."""
        n = len(self.x[rows])
        DONE.add(forwards * n, backwards * n, flops(self.model.module, self.model.tensor(self.x[:SEEN])))

    def parts(self) -> list[slice]:
        """The rows in batches."""
        return [slice(i, i + self.run.batch_size) for i in range(0, len(self.x), self.run.batch_size)]

    def along(self, directions: list[Weights], steps: np.ndarray, what: str) -> np.ndarray:
        """(points, n) losses at the weights plus (points, k) steps along k directions, many points at once."""
        moving = [name for name in self.weights if any(name in d for d in directions)]
        size = self._stack if self._stackable else 1

        def at(points: slice) -> Tensor:
            share = torch.as_tensor(steps[points])
            moved = {n: self.weights[n] + sum(_outer(s, d[n]) for s, d in zip(share.T, directions)) for n in moving}
            return torch.cat([self._stacked(moved, len(share), rows) for rows in self.parts()], 1)

        with torch.no_grad():
            return batched(self.run, what, at, len(steps), batch_size=size).numpy()

    def _stacked(self, moved: Weights, count: int, rows: slice) -> Tensor:
        """(count, rows) losses at stacked weights."""
        self.passed(rows, count)
        if count > 1 and self._stackable:
            return vmap(lambda weights: self.losses(weights, rows))(moved)
        return torch.stack([self.losses({n: w[i] for n, w in moved.items()}, rows) for i in range(count)])

    @cached_property
    def _stack(self) -> int:
        """How many points are evaluated at once: as many as fit into MOST numbers."""
        some = self.model.tensor(self.x[:1])
        widest = max((math.prod(layer.shape) for layer in self.model.layers(some)), default=1)
        rows = min(len(self.x), self.run.batch_size)
        return max(1, MOST // (sum(w.numel() for w in self.weights.values()) + 2 * rows * widest))

    @cached_property
    def _stackable(self) -> bool:
        """Whether points stacked give what each gives alone. On a processor convolutions with weights of their own are
        slower than one after another; some layers, such as recurrent ones, cannot be stacked at all."""
        if self.model.device.type == "cpu" and any(isinstance(m, CONVOLUTIONS) for m in self.model.module.modules()):
            return False
        few = slice(0, 4)
        try:
            with torch.no_grad():
                both = vmap(lambda w: self.losses(w, few))({n: torch.stack([w, w]) for n, w in self.weights.items()})
                return torch.allclose(both[1], self.losses(self.weights, few), rtol=1e-4, atol=1e-5)
        except RuntimeError:
            return False


def _outer(steps: Tensor, direction: Tensor) -> Tensor:
    """(points, *shape) a direction times each step."""
    return steps.to(direction).reshape(-1, *[1] * direction.ndim) * direction


def directions(weights: Weights, count: int, seed: int) -> list[Weights]:
    """Random directions, each filter of which is as long as the weights' (Li et al., 2018, arXiv 1712.09913): a filter is
    what makes one output of a layer. Biases and the gains of normalisation stay where they are."""
    return [
        {name: _as_long(_normal(f"{name} {i}", w, seed), w) for name, w in weights.items() if w.ndim > 1}
        for i in range(count)
    ]


def _normal(what: str, like: Tensor, seed: int) -> Tensor:
    drawn = stream(seed, "loss_landscape", what).standard_normal(tuple(like.shape))
    return torch.from_numpy(drawn).to(like)


def _as_long(direction: Tensor, weights: Tensor) -> Tensor:
    length = direction.flatten(1).norm(dim=1).clamp_min(torch.finfo(direction.dtype).tiny)
    return direction * (_filters(weights) / length).reshape(-1, *[1] * (direction.ndim - 1))


def _filters(weights: Tensor) -> Tensor:
    return weights.flatten(1).norm(dim=1)


def spread(weights: Tensor) -> Tensor:
    """What a filter-normalised direction has in each place, as a root mean square: the filter's length over the root of
    its size, and nothing for biases and gains."""
    if weights.ndim < 2:
        return torch.zeros_like(weights)
    size = _filters(weights) / math.sqrt(weights[0].numel())
    return size.reshape(-1, *[1] * (weights.ndim - 1)).expand_as(weights)
