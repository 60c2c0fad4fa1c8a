"""How unevenly 0, 1 or 2 of a benefit are spread: entropy indices from counts, and their parts between groups.

The generalised entropy indices of alpha 2 and 1 (the second is Theil's) of Speicher and others, 2018, arXiv 1807.00787.
"""

from __future__ import annotations

import numpy as np

INDICES = ("generalised entropy index", "Theil index")
BENEFIT = np.arange(3.0)


def entropy(counts: np.ndarray) -> np.ndarray:
    """(..., 2) both indices of (..., 3) people with 0, 1 and 2 of the benefit; nan where nobody has any."""
    return _spread(counts, np.broadcast_to(BENEFIT, np.shape(counts)))


def between(counts: np.ndarray) -> np.ndarray:
    """(..., 2) the part between groups of (..., groups, 3) counts: both indices when each has the mean of its group."""
    people = counts.sum(-1)
    mean = np.divide(counts @ BENEFIT, people, out=np.zeros(people.shape), where=people > 0)
    return _spread(people, mean)


def _spread(people: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Both indices of so many people with such values, along the last axis."""
    n = people.sum(-1, keepdims=True)
    mean = (people * value).sum(-1, keepdims=True) / n
    ratio = np.divide(value, mean, out=np.full(value.shape, np.nan), where=mean > 0)
    logged = np.log(ratio, out=np.zeros(ratio.shape), where=ratio > 0)
    share = people / n
    return np.stack([(share * (ratio**2 - 1)).sum(-1) / 2, (share * ratio * logged).sum(-1)], -1)
