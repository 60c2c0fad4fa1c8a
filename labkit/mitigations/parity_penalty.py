"""Learning with a price on unequal answers."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from torch import Tensor

from labkit.core.method import Range
from labkit.mitigations import Fit, Model
from labkit.mitigations._soft import cross_entropy, inequality


def parity_penalty(
    x: np.ndarray,
    y: np.ndarray,
    fit: Fit,
    *,
    strength: Annotated[float, Range(0, 1), "share of the price that is asked"] = 1.0,
    price: Annotated[float, Range(0.01, 1000, log=True), "nats for a squared difference of 1 between rates"] = 10.0,
    softness: Annotated[float, Range(0.05, 5, log=True), "logits; the smaller, the nearer to the decisions"] = 0.25,
) -> Model:
    """Cross-entropy plus a price on the squared differences between groups' rates of each answer, whatever is true.

    A rate is the mean over a batch of the softmax of the logits over ``softness``. Any number of classes and groups. What
    such a square is too large by chance is taken off, so that small groups are not pushed to one answer.

    Sources: a differentiable stand-in for the difference in rates as in Bechavod and Ligett, 2017, arXiv 1707.00044, and
    Padala and Gujar, 2020, arXiv 1811.00247; the correction for chance is ours.

    Returns:
        x -> (n, classes) probabilities.

    Raises:
        Refused: a learner that takes no objective.
    """

    def objective(logits: Tensor, y: Tensor, group: Tensor, weight: Tensor) -> Tensor:
        unlike = inequality((logits / softness).softmax(1), group, weight)
        return cross_entropy(logits, y, weight) + strength * price * unlike

    return fit(x, y, objective=objective)
