"""Every row's own gradient, cut to a norm and summed, for many models at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from labkit.core.refused import Refused

MIXED = (nn.modules.batchnorm._BatchNorm, nn.RNNBase)
Weights = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Clipped:
    """A function of stacked weights (models, ...), inputs (models, rows, ...), labels (models, rows), the rows that count,
    (models, rows), and a norm: the sums over the rows of their gradients, each cut to the norm; the norms before; losses.

    Of linear layers and embeddings a row's gradient is the outer product of what goes in and of the gradient of what comes
    out, so that its norm is had without making it (Goodfellow, 2015, arXiv 1510.01799; over the places of a sequence: Li
    et al., 2022, arXiv 2110.05679). Modules with any other weights get every row's gradient made.

    Attributes:
        numbers: that one row of one model holds in memory.
    """

    every: Callable[[Weights, Tensor, Tensor], tuple[Any, Tensor]]
    summed: Callable[[Weights, Tensor, Tensor, Tensor], Weights] | None
    numbers: int

    def __call__(
        self, weights: Weights, x: Tensor, y: Tensor, real: Tensor, clip: float
    ) -> tuple[Weights, Tensor, Tensor]:
        found, losses = self.every(weights, x, y)
        if self.summed is not None:
            norm = found.sqrt()
            return self.summed(weights, x, y, _factor(norm, real, clip)), norm, losses
        norm = torch.stack([g.flatten(2).square().sum(2) for g in found.values()]).sum(0).sqrt()
        factor = _factor(norm, real, clip)
        return {k: torch.einsum("mb,mb...->m...", factor, g) for k, g in found.items()}, norm, losses


def clipped(asked: str, pattern: nn.Module, x: Tensor) -> Clipped:
    """Row gradients of modules like the pattern on inputs like x, of two rows or more.

    Raises:
        Refused: layers that mix rows, and modules that torch cannot vectorise.
    """
    instead = "a net of layers that treat each row alone, such as GroupNorm or LayerNorm; learner='network'"
    mixing = [name for name, module in pattern.named_modules() if isinstance(module, MIXED)]
    if mixing:
        raise Refused(asked, f"layers whose gradient cannot be told row by row: {', '.join(mixing[:4])}", instead)
    weights = {k: torch.stack([v.detach()] * 2) for k, v in pattern.named_parameters()}
    try:
        shapes = _taps(pattern, x)
        found = _made(pattern) if shapes is None else _unmade(pattern, shapes)
        both = torch.stack([x, x])
        found(
            weights,
            both,
            torch.zeros(both.shape[:2], dtype=torch.int64, device=x.device),
            both.new_ones(2, len(x)),
            1.0,
        )
    except (RuntimeError, ValueError) as error:
        raise Refused(asked, f"a module that torch cannot vectorise: {error!s:.200}", instead) from None
    return found


def _factor(norm: Tensor, real: Tensor, clip: float) -> Tensor:
    return real * (clip / norm.clamp_min(clip))


def _losses(pattern: nn.Module, weights: Weights, x: Tensor, y: Tensor) -> Tensor:
    logits = functional_call(pattern, (weights, dict(pattern.named_buffers())), (x,))
    return nn.functional.cross_entropy(logits.float(), y, reduction="none")


def _made(pattern: nn.Module) -> Clipped:
    """Every row's gradient as such."""

    def loss(weights: Weights, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        value = _losses(pattern, weights, x[None], y[None])[0]
        return value, value.detach()

    over_rows = vmap(grad(loss, has_aux=True), in_dims=(None, 0, 0), randomness="different")
    size = sum(p.numel() for p in pattern.parameters())
    return Clipped(vmap(over_rows, randomness="different"), None, 2 * size)


def _layers(pattern: nn.Module) -> dict[str, nn.Module]:
    return {name: m for name, m in pattern.named_modules() if next(m.parameters(recurse=False), None) is not None}


@contextmanager
def _hooked(pattern: nn.Module, hook: Callable[[str, Tensor, Tensor], Tensor]) -> Iterator[None]:
    """Within this context ``hook(name, input, output)`` answers in the place of every layer with weights."""
    handles = [
        layer.register_forward_hook(lambda _, given, out, name=name: hook(name, given[0], out))
        for name, layer in _layers(pattern).items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _taps(pattern: nn.Module, x: Tensor) -> dict[str, tuple[int, ...]] | None:
    """The shape of one row of what each layer with weights gives; None where a norm cannot be had from it: other layers
    than linear ones of vectors and plain embeddings of sequences, or layers that are called twice or share weights."""
    shapes: dict[str, tuple[int, ...]] = {}
    calls: list[str] = []

    def note(name: str, given: Tensor, out: Tensor) -> Tensor:
        calls.append(name)
        shapes[name] = tuple(out.shape[1:])
        return out

    with torch.no_grad(), _hooked(pattern, note):
        pattern(x)
    layers = _layers(pattern)
    fits = all(
        (type(layer) is nn.Linear and len(shapes.get(name, ())) == 1)
        or (type(layer) is nn.Embedding and len(shapes.get(name, ())) == 2 and layer.padding_idx is None)
        for name, layer in layers.items()
    )
    own = len(list(pattern.parameters())) == sum(len(list(m.parameters(recurse=False))) for m in layers.values())
    random = any(isinstance(m, nn.modules.dropout._DropoutNd) for m in pattern.modules())
    return shapes if fits and own and not random and sorted(calls) == sorted(layers) else None


def _unmade(pattern: nn.Module, shapes: dict[str, tuple[int, ...]]) -> Clipped:
    """Norms from what goes into a layer and the gradient of what comes out; sums from one weighted backward pass."""
    layers = _layers(pattern)

    def squares(weights: Weights, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        taps = {name: torch.zeros((len(x), *shape), device=x.device) for name, shape in shapes.items()}

        def loss(taps: Weights) -> tuple[Tensor, tuple[Tensor, Weights]]:
            inputs: Weights = {}

            def tap(name: str, given: Tensor, out: Tensor) -> Tensor:
                inputs[name] = given.detach()
                return out + taps[name]

            with _hooked(pattern, tap):
                losses = _losses(pattern, weights, x, y)
            return losses.sum(), (losses.detach(), inputs)

        outputs, (losses, inputs) = grad(loss, has_aux=True)(taps)
        parts = [_square(layer, inputs[name], outputs[name]) for name, layer in layers.items()]
        return torch.stack(parts).sum(0), losses

    def total(weights: Weights, x: Tensor, y: Tensor, factor: Tensor) -> Tensor:
        return (_losses(pattern, weights, x, y) * factor).sum()

    places = max((shape[0] ** 2 for shape in shapes.values() if len(shape) == 2), default=0)
    numbers = 4 * (places + sum(torch.Size(shape).numel() for shape in shapes.values()))
    return Clipped(vmap(squares), vmap(grad(total)), numbers)


def _square(layer: nn.Module, given: Tensor, out: Tensor) -> Tensor:
    """(rows,) the squared norm of each row's gradient of a layer's weights."""
    if isinstance(layer, nn.Embedding):
        same = given[:, :, None] == given[:, None, :]
        return ((out @ out.transpose(1, 2)) * same).sum((1, 2))
    bias = 0 if layer.bias is None else 1
    return out.square().sum(1) * (given.square().sum(1) + bias)
