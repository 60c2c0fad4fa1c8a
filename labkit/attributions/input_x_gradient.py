"""Input times gradient: the first-order change of the output when an entry falls to the baseline."""

from __future__ import annotations

from torch import Tensor

from labkit.attributions._passes import WITHOUT_GRADIENTS, gradient
from labkit.models.classifier import Classifier


def input_x_gradient(model: Classifier, x: Tensor, target: Tensor, baseline: Tensor) -> Tensor:
    """(x - baseline) times the gradient of the target's logit (Shrikumar et al., 2016, arXiv 1605.01713, whose
    baseline is zero).

    Returns:
        Like x, in logits. Exact for a linear model; elsewhere it need not add up to the output's change.
    """
    model.require("gradients", by="input_x_gradient", instead=WITHOUT_GRADIENTS)
    z, forward = model.relax(x)
    start, _ = model.relax(baseline)
    return (z - start) * gradient(forward, z, target)
