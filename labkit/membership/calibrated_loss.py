"""Loss, calibrated for difficulty."""

from __future__ import annotations

import numpy as np

from labkit.membership._signals import cross_entropy, mean_over


def calibrated_loss(logits: np.ndarray, y: np.ndarray, shadow: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """(n,) how much less each row costs the model than it costs, on average, the shadow models that never saw it.

    Source: Watson, Guo, Cormode and Sablayrolles, 2022, arXiv 2111.08440.
    """
    return mean_over(cross_entropy(shadow, y), ~inside, "calibrated_loss") - cross_entropy(logits, y)
