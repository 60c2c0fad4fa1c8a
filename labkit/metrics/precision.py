from __future__ import annotations

import numpy as np

from labkit.core.intervals import proportion
from labkit.metrics import Binary


def precision(y_true: Binary, y_pred: Binary, weight: np.ndarray | None = None) -> float:
    """The share of positive answers that are right, in [0, 1]; higher is better; nan without a positive answer.

    Equal precision over groups is predictive parity (Chouldechova, 2017, arXiv 1610.07524).
    """
    return proportion(y_true == 1, y_pred == 1, weight)
