"""HiResCAM: a layer's output times its gradient, place by place."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from labkit.attributions._layers import cam
from labkit.core.method import Listed
from labkit.models.classifier import Classifier


def hires_cam(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    *,
    layer: Annotated[str, Listed("layers"), "name of the layer; empty takes the last convolution"] = "",
    positive: Annotated[bool, "show support only; otherwise keep the sign, as in the paper"] = False,
) -> Tensor:
    """A layer's maps times the gradient of the target's score, summed over channels and enlarged (Draelos and Carin, 2020,
    arXiv 2011.08891). Where the layer is followed by one linear layer, the places add up to the score less its bias.

    Returns:
        Like x, the same for every channel, so that the channels add up to the map. As coarse as the layer; positive
        where a place supports the target.

    Raises:
        Refused: what ``grad_cam`` refuses.
    """
    return cam("hires_cam", model, x, target, layer, lambda _maps, slope: slope, positive)
