"""Loss."""

from __future__ import annotations

import numpy as np

from labkit.membership._signals import cross_entropy


def loss(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n,) minus the cross-entropy of each row: what a model was trained on costs it less.

    One threshold for all rows, so that rows that are easy for every model pass for members. The weakest honest attack.

    Source: Yeom, Giacomelli, Fredrikson and Jha, 2018, arXiv 1709.01604.
    """
    return -cross_entropy(logits, y)
