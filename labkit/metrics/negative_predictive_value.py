from __future__ import annotations

import numpy as np

from labkit.core.intervals import proportion
from labkit.metrics import Binary


def negative_predictive_value(y_true: Binary, y_pred: Binary, weight: np.ndarray | None = None) -> float:
    """The share of negative answers that are right, in [0, 1]; higher is better; nan without a negative answer."""
    return proportion(y_true == 0, y_pred == 0, weight)
