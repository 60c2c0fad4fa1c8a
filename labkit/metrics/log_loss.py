from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.metrics import Binary, Chances
from labkit.metrics._mean import mean


def log_loss(
    y_true: Binary, y_proba: Chances, weight: np.ndarray | None = None
) -> Annotated[float, Range(0, math.inf)]:
    """The mean of minus the logarithm of the probability that the true answer was given, in nats, from 0; lower is better.

    A proper score (Good, 1952). A probability of 0 given to what happened counts as 1e-15.
    """
    given = np.clip(np.where(np.asarray(y_true) == 1, y_proba, 1 - np.asarray(y_proba, float)), 1e-15, 1.0)
    return mean(-np.log(given), weight)
