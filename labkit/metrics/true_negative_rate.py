from __future__ import annotations

import numpy as np

from labkit.core.intervals import proportion
from labkit.metrics import Binary


def true_negative_rate(y_true: Binary, y_pred: Binary, weight: np.ndarray | None = None) -> float:
    """The share of negatives that are answered negative (specificity), in [0, 1]; higher is better; nan without a
    negative.
    """
    return proportion(y_pred == 0, y_true == 0, weight)
