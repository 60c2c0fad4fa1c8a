"""Confidence."""

from __future__ import annotations

import numpy as np

from labkit.membership._signals import cross_entropy


def confidence(logits: np.ndarray) -> np.ndarray:
    """(n,) log of the largest probability: a model is surer of what it was trained on. Takes no label.

    Source: Salem et al., 2019, arXiv 1806.01246 (its third adversary).
    """
    return -cross_entropy(logits, logits.argmax(1))
