"""Linear relaxation, propagated backwards."""

from __future__ import annotations

from typing import Annotated, Literal

from torch import Tensor

from labkit.certificates._bounds import lead
from labkit.models.classifier import Classifier


def crown(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: Tensor,
    norm: Literal["linf", "l2", "l1"],
    batch_size: int,
    *,
    inner: Annotated[
        Literal["interval", "crown"], "what bounds the inner values: intervals, or linear bounds: tighter, far slower"
    ] = "interval",
) -> Tensor:
    """(n,) lower bounds of the true logit minus the best other, over the ball of radius ``eps`` (n,) and the bounds.

    Each ReLU lies between two lines on the interval of its input. So the logits' differences are bounded by affine
    functions of the input, whose least value over the ball is known: exactly for linf and l1 within the bounds, by
    Lagrange's bound for l2. Never below ``interval_bounds``.

    ``inner="interval"`` costs one backward pass over the wrong classes; ``inner="crown"`` one more for every inner value
    that may be of either sign, and gives much larger radii.

    Computed in float64, for the function that the weights define in exact arithmetic; ten times the error of the model's
    own answer to the row is taken off.

    Raises:
        Refused: a function in the model for which no bounds are known, by its name; inputs that are not continuous.

    Sources: Zhang et al., 2018, arXiv 1811.00866; with intervals inside: Zhang et al., 2020, arXiv 1906.06316; residual
    sums and other graphs: Xu et al., 2020, arXiv 2002.12920.
    """
    return lead(model, x, y, eps, norm, batch_size, deep=True, inner=inner, asked="crown")
