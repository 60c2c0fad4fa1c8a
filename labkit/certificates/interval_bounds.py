"""Interval bounds."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from labkit.certificates._bounds import lead
from labkit.models.classifier import Classifier


def interval_bounds(
    model: Classifier, x: Tensor, y: Tensor, eps: Tensor, norm: Literal["linf", "l2", "l1"], batch_size: int
) -> Tensor:
    """(n,) lower bounds of the true logit minus the best other, over the ball of radius ``eps`` (n,) and the bounds.

    Every value gets an interval, layer by layer; the logits' differences are taken before the last intervals are, and
    values that are affine in the input get the dual norm of their weights. Cheap, and loose for models that were not
    trained for it: a row that it does not certify may still be safe from every change.

    Computed in float64, for the function that the weights define in exact arithmetic; ten times the error of the model's
    own answer to the row is taken off.

    Raises:
        Refused: a function in the model for which no bounds are known, by its name; inputs that are not continuous.

    Source: Gowal et al., 2018, arXiv 1810.12715.
    """
    return lead(model, x, y, eps, norm, batch_size, deep=False, inner="interval", asked="interval_bounds")
