"""Confidence."""

from __future__ import annotations

import numpy as np


def confidence(logits: np.ndarray) -> np.ndarray:
    """(n,) log of the largest probability: a model is surer of what it was trained on. Takes no label.

    Source: Salem et al., 2019, arXiv 1806.01246 (its third adversary).
    """
    z = np.asarray(logits, np.float64)
    top = z.max(1)
    return np.asarray(-np.log(np.exp(z - top[:, None]).sum(1)))
