from __future__ import annotations

import numpy as np

from labkit.metrics import Binary, Chances


def auc(y_true: Binary, y_proba: Chances, weight: np.ndarray | None = None) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, ties counted half; higher is better.

    In [0, 1], chance 0.5; nan without both classes (Hanley and McNeil, 1982, doi 10.1148/radiology.143.1.7063747).
    """
    order = np.argsort(y_proba, kind="stable")
    score, positive = np.asarray(y_proba)[order], np.asarray(y_true)[order] == 1
    w = np.ones(len(order)) if weight is None else np.asarray(weight, float)[..., order]
    starts = np.flatnonzero(np.r_[True, score[1:] != score[:-1]]) if len(score) else np.zeros(0, int)
    above = np.add.reduceat(w * positive, starts, axis=-1)
    below = np.add.reduceat(w * ~positive, starts, axis=-1)
    won = (above * (np.cumsum(below, -1) - below / 2)).sum(-1)
    pairs = above.sum(-1) * below.sum(-1)
    result = np.divide(won, pairs, out=np.full(np.shape(pairs), np.nan), where=pairs > 0)
    return result if result.ndim else float(result)  # type: ignore[return-value]
