"""One mechanism under every layer method: which layer, what it gives, how its score follows it, and where it stands."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from labkit.attributions._passes import score
from labkit.core.refused import Refused, unknown
from labkit.models.classifier import Classifier
from labkit.models.layers import CONVOLUTIONS, Layer

INSTEAD = "saliency, integrated_gradients, occlusion or kernel_shap"


def chosen(by: str, model: Classifier, x: Tensor, name: str, *, any_kind: bool = False) -> Layer:
    """The layer of that name; of an empty one the last convolution that fits, or with ``any_kind`` the last layer.

    Raises:
        Refused: words or categories, a model without convolutions, an unknown layer, one that runs more than once, or
            one whose output cannot be laid over the input.
    """
    for capability in ("continuous", "layers"):
        model.require(capability, by=by, instead=INSTEAD)
    layers = {layer.name: layer for layer in model.layers(x)}
    fitting = [layer for layer in layers.values() if layer.fits]
    convolutions = [layer for layer in fitting if isinstance(model.module.get_submodule(layer.name), CONVOLUTIONS)]
    if not convolutions:
        given = f"inputs of shape {tuple(x.shape[1:])}, over which the output of no convolution can be laid"
        raise Refused(by, given, INSTEAD)
    if not name:
        return (fitting if any_kind else convolutions)[-1]
    if name not in layers:
        raise unknown(f"{by} at a layer", name, (layer.name for layer in fitting))
    layer = layers[name]
    if layer.runs != 1:
        raise Refused(f"{by} at the layer {name!r}", f"a layer that runs {layer.runs} times", "a layer that runs once")
    if not layer.fits:
        shape = " x ".join(map(str, layer.shape))
        raise Refused(
            f"{by} at the layer {name!r}",
            f"an output of {shape}, without spatial extent that the input shares: the picture would be the same everywhere",
            f"a layer before the pooling, such as {convolutions[-1].name!r}, or {INSTEAD}",
        )
    return layer


def output(model: Classifier, x: Tensor, target: Tensor, layer: Layer) -> tuple[Tensor, Tensor]:
    """(n, channels, *positions) output of the layer, and the (n,) scores, both as a graph from x on."""
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, given: Tensor) -> Tensor:
        kept.append(given)
        return given.clone()  # what follows may work in place

    handle = model.module.get_submodule(layer.name).register_forward_hook(keep)
    try:
        out = score(model(x), target)
    finally:
        handle.remove()
    return kept[0], out


def slopes(model: Classifier, x: Tensor, target: Tensor, layer: Layer) -> tuple[Tensor, Tensor]:
    """The layer's output, and the gradient of the target's score with respect to it."""
    with torch.enable_grad():
        maps, out = output(model, x.clone().requires_grad_(), target, layer)
    if not out.requires_grad:
        return maps.detach(), torch.zeros_like(maps)
    (slope,) = torch.autograd.grad(out.sum(), maps, allow_unused=True)
    return maps.detach(), torch.zeros_like(maps) if slope is None else slope


def enlarged(values: Tensor, layer: Layer, *, keep_sum: bool = False) -> Tensor:
    """(n, *positions) values -> (n, *space) of the input, linear between positions. Bands of a sound are added up.

    With ``keep_sum`` each position's value is shared out over the entries near it.
    """
    values = values.reshape(len(values), -1, *values.shape[values.ndim - len(layer.lines) :]).sum(1)
    for line in layer.lines:
        weights = line.weights()
        weights = weights / weights.sum(0) if keep_sum else weights
        values = torch.tensordot(values, weights.to(values), dims=([1], [1]))
    return values


def laid(values: Tensor, x: Tensor, layer: Layer, *, keep_sum: bool = False) -> Tensor:
    """(n, *positions) values -> like x, the same for every channel, so that the channels add up to the map."""
    values = enlarged(values, layer, keep_sum=keep_sum)
    return values if x.ndim == 2 else (values[:, None] / x.shape[1]).expand_as(x).clone()


def cam(
    by: str,
    model: Classifier,
    x: Tensor,
    target: Tensor,
    layer: str,
    weights: Callable[[Tensor, Tensor], Tensor],
    positive: bool,
) -> Tensor:
    """The layer's maps, weighted by a function of maps and gradient, summed over channels and laid over the input."""
    model.require("gradients", by=by, instead="score_cam or occlusion, which ask for outputs only, or terms")
    found = chosen(by, model, x, layer)
    maps, slope = slopes(model, x, target, found)
    summed = (weights(maps, slope) * maps).sum(1)
    return laid(summed.relu() if positive else summed, x, found)


def space(maps: Tensor) -> tuple[int, ...]:
    """The axes of positions."""
    return tuple(range(2, maps.ndim))
