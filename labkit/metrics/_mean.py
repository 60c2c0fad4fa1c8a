from __future__ import annotations

from typing import Any

import numpy as np


def mean(values: Any, weight: np.ndarray | None) -> Any:
    """The mean of (n,) values: one number, or with a weight of shape (..., n) one for each leading index; nan of nothing."""
    values = np.asarray(values, float)
    w = np.ones(len(values)) if weight is None else np.asarray(weight, float)
    total = w.sum(-1)
    result = np.divide(w @ values, total, out=np.full(np.shape(total), np.nan), where=total > 0)
    return result if result.ndim else float(result)


def ratio(over: Any, under: Any, weight: np.ndarray | None) -> Any:
    """The sum of (n,) values over the sum of others, as ``mean``; nan where the second is 0."""
    over, under = np.asarray(over, float), np.asarray(under, float)
    w = np.ones(len(over)) if weight is None else np.asarray(weight, float)
    below = w @ under
    result = np.divide(w @ over, below, out=np.full(np.shape(below), np.nan), where=below > 0)
    return result if result.ndim else float(result)
