"""Which attacks took more than one gradient step."""

from __future__ import annotations

import numpy as np


def iterated(gradients: np.ndarray, tried: np.ndarray) -> np.ndarray:
    """(attack,) whether an attack took more gradients than one for each budget at which it tried a row.

    One step is weak on any model: that attacks without gradients beat it says nothing of the model. Both are
    (attack, example).
    """
    return np.asarray(gradients.sum(1) > tried.sum(1) * (1 + 1e-9))
