"""What membership scores are made of: how sure a model is of the label, on a scale without ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.core.refused import Refused


@dataclass(frozen=True, eq=False)
class Population:
    """Rows that neither the audited model nor a shadow model was trained on.

    Attributes:
        logits: (m, classes) of the audited model. shadow: (models, m, classes) of the shadow models. y: (m,) labels.
    """

    logits: np.ndarray
    shadow: np.ndarray
    y: np.ndarray


def margin(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(..., n) log p / (1 - p) of the label's probability p, of (..., n, classes) logits: the label's logit less the
    log-sum-exp of the others, which keeps its digits where p is all but 0 or 1."""
    if logits.ndim > 2:  # one model after another: all at once would take several times their memory
        return np.stack([margin(own, y) for own in logits])
    z = np.asarray(logits, np.float64)
    own = z[np.arange(len(z)), y]
    others = np.where(np.arange(z.shape[1]) == y[:, None], -np.inf, z)
    top = others.max(1)
    return np.asarray(own - top - np.log(np.exp(others - top[:, None]).sum(1)))


def likelihood(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(..., n) the label's probability."""
    return np.exp(-cross_entropy(logits, y))


def cross_entropy(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(..., n) minus the logarithm of the label's probability."""
    return np.asarray(np.logaddexp(0.0, -margin(logits, y)))


def mean_over(values: np.ndarray, among: np.ndarray, asked: str) -> np.ndarray:
    """(n,) mean of (models, n) values over the models that are true in ``among``."""
    count = among.sum(0)
    if not count.all():
        given = f"{int((count == 0).sum())} rows that every shadow model saw, or none did"
        raise Refused(asked, given, "shadow models of which half saw each row: two of them at the least")
    return np.asarray(np.where(among, values, 0.0).sum(0) / count)


def spread_over(values: np.ndarray, among: np.ndarray, mean: np.ndarray, least: int) -> np.ndarray:
    """(n,) standard deviation of (models, n) values over the models in ``among``: each row's own where every row has at
    least so many models, else one for all rows, pooled from their deviations. Never below 1e-6."""
    count = among.sum(0)
    squares = np.where(among, (values - mean) ** 2, 0.0).sum(0)
    if count.min() >= least:
        return np.asarray(np.maximum(np.sqrt(squares / (count - 1)), 1e-6))
    pooled = np.sqrt(squares.sum() / max(1, (count - 1).sum()))
    return np.full(len(count), max(float(pooled), 1e-6))
