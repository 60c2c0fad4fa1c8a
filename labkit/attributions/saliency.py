"""Saliency: how steeply the output rises with each entry."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from labkit.attributions._passes import WITHOUT_GRADIENTS, gradient
from labkit.models.classifier import Classifier


def saliency(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    *,
    signed: Annotated[bool, "keep the gradient's sign; otherwise its size"] = False,
) -> Tensor:
    """The gradient of the target's logit with respect to the input (Simonyan, Vedaldi and Zisserman, 2013, arXiv
    1312.6034), by default its absolute value as in the paper.

    Returns:
        Like x: logits per unit of the input. Over an embedding, per unit of the embedding and summed over its width,
        which for absolute values is the gradient's 1-norm.
    """
    model.require("gradients", by="saliency", instead=WITHOUT_GRADIENTS)
    z, forward = model.relax(x)
    slope = gradient(forward, z, target)
    return slope if signed else slope.abs()
