from __future__ import annotations

import numpy as np

from labkit.core.intervals import proportion
from labkit.metrics import Binary


def selection_rate(y_pred: Binary, weight: np.ndarray | None = None) -> float:
    """The share of positive answers, in [0, 1]. Equal rates over groups are demographic parity."""
    return proportion(y_pred == 1, weight=weight)
