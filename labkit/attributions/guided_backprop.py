"""Guided backpropagation: the gradient, with what is negative held back at every ReLU."""

from __future__ import annotations

from torch import Tensor

from labkit.attributions._relu_rules import ruled_gradient
from labkit.models.classifier import Classifier


def guided_backprop(model: Classifier, x: Tensor, target: Tensor) -> Tensor:
    """The target logit's gradient where each ReLU passes back only what is positive, and only where its own input was
    positive (Springenberg et al., 2014, arXiv 1412.6806).

    It sharpens edges, and can do so whatever the weights and the target are (Adebayo et al., 2018, arXiv 1810.03292;
    Nie, Zhang and Patel, 2018, arXiv 1805.07039): read it beside the check ``randomized_weights``.

    Returns:
        Like x: no gradient of any function, and in no unit. Activations other than ReLU keep their own gradient.
        Over an embedding the 1-norm over its width.

    Raises:
        Refused: a model without ReLU, or with one out of reach (compiled, or fused with a layer).
    """
    return ruled_gradient(model, x, target, "guided", by="guided_backprop")
