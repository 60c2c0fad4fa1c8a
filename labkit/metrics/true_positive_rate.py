from __future__ import annotations

import numpy as np

from labkit.core.intervals import proportion
from labkit.metrics import Binary


def true_positive_rate(y_true: Binary, y_pred: Binary, weight: np.ndarray | None = None) -> float:
    """The share of positives that are answered positive (recall), in [0, 1]; nan without a positive.

    Equal rates over groups are equal opportunity (Hardt, Price and Srebro, 2016, arXiv 1610.02413).
    """
    return proportion(y_pred == 1, y_true == 1, weight)
