from __future__ import annotations

import numpy as np

from labkit.metrics import Binary, Chances


def brier(y_true: Binary, y_proba: Chances, weight: np.ndarray | None = None) -> float:
    """The mean squared distance of the probability from the outcome, in [0, 1]; lower is better.

    A proper score: the true probability is the best answer (Brier, 1950). The constant base rate r scores r (1 - r).
    """
    w = np.ones(len(y_true)) if weight is None else np.asarray(weight, float)
    total = w.sum(-1)
    loss = w @ (np.asarray(y_proba, float) - y_true) ** 2
    result = np.divide(loss, total, out=np.full(np.shape(total), np.nan), where=total > 0)
    return result if result.ndim else float(result)  # type: ignore[return-value]
