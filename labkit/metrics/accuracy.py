from __future__ import annotations

import numpy as np

from labkit.core.intervals import proportion
from labkit.metrics import Labels


def accuracy(y_true: Labels, y_pred: Labels, weight: np.ndarray | None = None) -> float:
    """The share of right answers, in [0, 1]; higher is better. Any number of classes.

    Read it beside the share of the most frequent class, which a constant answer reaches.
    """
    return proportion(y_true == y_pred, weight=weight)
