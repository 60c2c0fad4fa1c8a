from __future__ import annotations

import numpy as np

from labkit.core.intervals import proportion
from labkit.metrics import Labels


def balanced_accuracy(y_true: Labels, y_pred: Labels, weight: np.ndarray | None = None) -> float:
    """The mean over the true classes of the share answered right, in [0, 1]; higher is better.

    Chance is 1 / classes whatever the class sizes (Brodersen et al., 2010, doi 10.1109/ICPR.2010.764). Classes without
    an example do not count; nan where fewer than two have one.
    """
    recalls = np.array([proportion(y_true == y_pred, y_true == c, weight) for c in np.unique(y_true)], float)
    known = ~np.isnan(recalls)
    count = known.sum(0)
    mean = np.where(known, recalls, 0).sum(0) / np.maximum(count, 1)
    result = np.where(count > 1, mean, np.nan)
    return result if result.ndim else float(result)  # type: ignore[return-value]
