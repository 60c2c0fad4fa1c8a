"""Grad-CAM++: Grad-CAM that counts every place where a feature supports the target, large or small."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from labkit.attributions._layers import cam, space
from labkit.core.method import Listed
from labkit.models.classifier import Classifier


def grad_cam_plus_plus(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    *,
    layer: Annotated[str, Listed("layers"), "name of the layer; empty takes the last convolution"] = "",
    positive: Annotated[bool, "show support only, as in the paper; otherwise keep the sign"] = True,
) -> Tensor:
    """A layer's maps, each weighted by a weighted mean of the positive gradients of exp(score) (Chattopadhyay et al., 2018,
    arXiv 1710.11063), for scores that are piecewise linear in the layer, where the weights have a closed form.

    The common factor exp(score) of a row is left out: it only sets the scale, and would overflow.

    Returns:
        Like x, the same for every channel, so that the channels add up to the map. As coarse as the layer. Its unit is
        not the score's: maps of two rows cannot be compared in size.

    Raises:
        Refused: what ``grad_cam`` refuses.
    """
    return cam("grad_cam_plus_plus", model, x, target, layer, _weights, positive)


def _weights(maps: Tensor, slope: Tensor) -> Tensor:
    third = maps.sum(space(maps), keepdim=True) * slope**3
    share = slope**2 / torch.where(slope == 0, 1, 2 * slope**2 + third)
    return (share * slope.relu()).sum(space(maps), keepdim=True)
