"""Deconvolution: the way back through the network, with what is negative held back at every ReLU."""

from __future__ import annotations

from torch import Tensor

from labkit.attributions._relu_rules import ruled_gradient
from labkit.models.classifier import Classifier


def deconvolution(model: Classifier, x: Tensor, target: Tensor) -> Tensor:
    """The target logit's gradient where each ReLU passes back what is positive, whatever its own input was (Zeiler and
    Fergus, 2014, arXiv 1311.2901).

    The input counts only through the switches of max pooling; without pooling, the picture is the same for every
    input. Read it beside the check ``randomized_weights``.

    Returns:
        Like x: no gradient of any function, and in no unit. Activations other than ReLU keep their own gradient.
        Over an embedding the 1-norm over its width.

    Raises:
        Refused: a model without ReLU, or with one out of reach (compiled, or fused with a layer).
    """
    return ruled_gradient(model, x, target, "deconvolution", by="deconvolution")
