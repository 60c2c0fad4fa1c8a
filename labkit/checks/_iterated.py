"""Which attacks took more than one gradient step."""

from __future__ import annotations

import numpy as np


def iterated(is_gradient: np.ndarray, gradients: np.ndarray, broken_at: np.ndarray, eps: np.ndarray) -> np.ndarray:
    """(attack,) whether an attack took more gradients than one for each row that stood before each budget.

    One step is weak on any model: that attacks without gradients beat it says nothing of the model. ``broken_at`` is 0
    for clean errors, which no attack sees.
    """
    tries = sum((broken_at >= e).sum(1) for e in eps[eps > 0])
    return is_gradient & (gradients > tries)
