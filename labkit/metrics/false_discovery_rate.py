from __future__ import annotations

import numpy as np

from labkit.core.intervals import proportion
from labkit.metrics import Binary


def false_discovery_rate(y_true: Binary, y_pred: Binary, weight: np.ndarray | None = None) -> float:
    """The share of positive answers that are wrong, in [0, 1]; lower is better; nan without a positive answer."""
    return proportion(y_true == 0, y_pred == 1, weight)
