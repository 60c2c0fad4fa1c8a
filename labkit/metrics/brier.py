from __future__ import annotations

import numpy as np

from labkit.metrics import Binary, Chances
from labkit.metrics._mean import mean


def brier(y_true: Binary, y_proba: Chances, weight: np.ndarray | None = None) -> float:
    """The mean squared distance of the probability from the outcome, in [0, 1]; lower is better.

    A proper score: the true probability is the best answer (Brier, 1950). The constant base rate r scores r (1 - r).
    """
    return mean((np.asarray(y_proba, float) - y_true) ** 2, weight)
