from __future__ import annotations

import numpy as np

from labkit.core.intervals import proportion
from labkit.metrics import Binary


def false_negative_rate(y_true: Binary, y_pred: Binary, weight: np.ndarray | None = None) -> float:
    """The share of positives that are answered negative, in [0, 1]; lower is better; nan without a positive."""
    return proportion(y_pred == 0, y_true == 1, weight)
