"""Learning with a price on unequal errors."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from torch import Tensor

from labkit.core.method import Range
from labkit.mitigations import Fit, Model
from labkit.mitigations._soft import cross_entropy, inequality


def equalized_odds_penalty(
    x: np.ndarray,
    y: np.ndarray,
    positive: int,
    fit: Fit,
    *,
    strength: Annotated[float, Range(0, 1), "share of the price that is asked"] = 1.0,
    price: Annotated[float, Range(0.01, 1000, log=True), "nats for a squared difference of 1 between rates"] = 10.0,
    softness: Annotated[float, Range(0.05, 5, log=True), "logits; the smaller, the nearer to the decisions"] = 0.25,
    among: Annotated[
        Literal["every class", "positive"], "of whom: all, or those who are positive in truth"
    ] = "every class",
) -> Model:
    """Cross-entropy plus a price on the squared differences between groups' rates of each answer among people of one true
    class: equalized odds over every class, equal opportunity among the positive.

    A rate is the mean over a batch of the softmax of the logits over ``softness``. Any number of classes and groups. What
    such a square is too large by chance is taken off, so that small cells are not pushed to one answer.

    Sources: Bechavod and Ligett, 2017, arXiv 1707.00044; Padala and Gujar, 2020, arXiv 1811.00247; the criteria of Hardt,
    Price and Srebro, 2016, arXiv 1610.02413; the correction for chance is ours.

    Returns:
        x -> (n, classes) probabilities.

    Raises:
        Refused: a learner that takes no objective.
    """

    def objective(logits: Tensor, y: Tensor, group: Tensor, weight: Tensor) -> Tensor:
        asked = group if among == "every class" else group.masked_fill(y != positive, -1)
        unlike = inequality((logits / softness).softmax(1), asked, weight, y)
        return cross_entropy(logits, y, weight) + strength * price * unlike

    return fit(x, y, objective=objective)
