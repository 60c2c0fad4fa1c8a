from __future__ import annotations

import numpy as np

from labkit.metrics import Binary
from labkit.metrics._mean import ratio


def f1(y_true: Binary, y_pred: Binary, weight: np.ndarray | None = None) -> float:
    """The harmonic mean of precision and true positive rate, in [0, 1]; higher is better; nan without a positive case or
    answer (van Rijsbergen, 1979)."""
    true, said = np.asarray(y_true) == 1, np.asarray(y_pred) == 1
    return ratio(2 * (true & said), true.astype(int) + said, weight)
