"""LayerCAM: a layer's output, weighted place by place by the gradients that support the target."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from labkit.attributions._layers import cam
from labkit.core.method import Listed
from labkit.models.classifier import Classifier


def layer_cam(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    *,
    layer: Annotated[str, Listed("layers"), "name of the layer; empty takes the last convolution"] = "",
    positive: Annotated[bool, "show support only, as in the paper; otherwise keep the sign"] = True,
) -> Tensor:
    """A layer's maps times the positive part of the gradient of the target's score, summed over channels and enlarged
    (Jiang et al., 2021, doi 10.1109/TIP.2021.3089943). Made for early layers, whose maps are fine.

    Returns:
        Like x, the same for every channel, so that the channels add up to the map. As coarse as the layer.

    Raises:
        Refused: what ``grad_cam`` refuses.
    """
    return cam("layer_cam", model, x, target, layer, lambda _maps, slope: slope.relu(), positive)
