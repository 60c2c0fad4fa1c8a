"""Modified entropy."""

from __future__ import annotations

import numpy as np

from labkit.membership._signals import cross_entropy, likelihood, margin


def entropy(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n,) minus the modified entropy: low entropy counts as membership only where the sure answer is the label.

    ``-(1 - p_y) log p_y - sum over other classes of p_k log(1 - p_k)``.

    Source: Song and Mittal, 2021, arXiv 2003.10595.
    """
    z = np.asarray(logits, np.float64)
    row, top = np.arange(len(z)), z.argmax(1)
    p = np.exp(z - z[row, top][:, None])
    p /= p.sum(1, keepdims=True)
    # only the largest probability can come so near to 1 that 1 - p has no digits left
    missing = np.log1p(-np.minimum(p, 0.5))
    missing[row, top] = -np.logaddexp(0.0, margin(z, top))
    terms = p * missing
    terms[row, y] = -(1 - likelihood(z, y)) * cross_entropy(z, y)
    return np.asarray(terms.sum(1))
