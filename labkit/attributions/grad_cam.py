"""Grad-CAM: where the maps of a convolution support the target."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from labkit.attributions._passes import score
from labkit.core.refused import Refused, unknown
from labkit.models.classifier import Classifier


def grad_cam(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    *,
    layer: Annotated[str, "name of the layer; empty takes the last convolution"] = "",
    positive: Annotated[bool, "show support only, as in the paper; otherwise keep the sign"] = True,
) -> Tensor:
    """A layer's maps, weighted by the mean gradient of the target's logit, summed, and enlarged to the image
    (Selvaraju et al., 2017, arXiv 1610.02391).

    Returns:
        Like x, the same for every channel, so that the channels add up to the map. As coarse as the layer.

    Raises:
        Refused: inputs that are no images, an unknown layer, or one whose output has no height and width to show.
    """
    instead = "saliency, integrated_gradients, occlusion or kernel_shap"
    model.require("continuous", by="grad_cam", instead=instead)
    model.require("layers", by="grad_cam", instead=instead)
    if x.ndim != 4:
        given = f"inputs of shape {tuple(x.shape[1:])}, which are no images: there is no picture to lay the map over"
        raise Refused("grad_cam", given, instead)
    name = layer or _last_convolution(model)
    maps, slope = _maps(model, x, target, name)
    if maps.ndim != 4 or maps.shape[2] * maps.shape[3] < 2:
        shape = " x ".join(map(str, maps.shape[1:]))
        raise Refused(
            f"grad_cam at the layer {name!r}",
            f"an output of {shape}, without spatial extent: the picture would be the same everywhere",
            f"a layer before the pooling, such as {_last_convolution(model)!r}, or {instead}",
        )
    cam = (slope.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True)
    if positive:
        cam = cam.relu()
    cam = nn.functional.interpolate(cam, x.shape[2:], mode="bilinear", align_corners=False)
    return (cam / x.shape[1]).expand_as(x).clone()


def _last_convolution(model: Classifier) -> str:
    return [name for name, module in model.module.named_modules() if isinstance(module, nn.Conv2d)][-1]


def _maps(model: Classifier, x: Tensor, target: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """The layer's output and the gradient of the target's logit with respect to it."""
    layers = dict(model.module.named_modules())
    if name not in layers or not name:
        raise unknown("grad_cam at a layer", name, (n for n in layers if n))
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        kept.append(output)
        return output.clone()  # what follows may work in place

    handle = layers[name].register_forward_hook(keep)
    try:
        with torch.enable_grad():
            out = score(model(x.clone().requires_grad_()), target)
    finally:
        handle.remove()
    if len(kept) != 1:
        raise Refused(
            f"grad_cam at the layer {name!r}", f"a layer that runs {len(kept)} times", "a layer that runs once"
        )
    if not out.requires_grad:
        return kept[0].detach(), torch.zeros_like(kept[0])
    (slope,) = torch.autograd.grad(out.sum(), kept[0], allow_unused=True)
    return kept[0].detach(), torch.zeros_like(kept[0]) if slope is None else slope
