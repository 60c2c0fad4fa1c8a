"""Grad-CAM: where the maps of a convolution support the target."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from labkit.attributions._layers import cam, space
from labkit.core.method import Listed
from labkit.models.classifier import Classifier


def grad_cam(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    *,
    layer: Annotated[str, Listed("layers"), "name of the layer; empty takes the last convolution"] = "",
    positive: Annotated[bool, "show support only, as in the paper; otherwise keep the sign"] = True,
) -> Tensor:
    """A layer's maps, weighted by the mean gradient of the target's score, summed, and enlarged to the input (Selvaraju
    et al., 2017, arXiv 1610.02391): images, series, and sound where a plain chain of layers says when a frame was heard.

    Returns:
        Like x, the same for every channel, so that the channels add up to the map. As coarse as the layer.

    Raises:
        Refused: words or categories, an unknown layer, or one whose output has no space or time to show.
    """
    return cam("grad_cam", model, x, target, layer, lambda maps, slope: slope.mean(space(maps), keepdim=True), positive)
