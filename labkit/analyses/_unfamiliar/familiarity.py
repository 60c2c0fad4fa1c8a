"""How familiar an input looks to a model: scores of logits, and of features beside those of training rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Score = Callable[[np.ndarray], np.ndarray]
PART = 4_000_000


def _rest(z: np.ndarray) -> np.ndarray:
    """(n,) -log of the largest probability: exact where that is nearly 1, so that sure answers are told apart."""
    z = np.sort(z.astype(np.float64), axis=1)
    return np.asarray(np.log1p(np.exp(z[:, :-1] - z[:, -1:]).sum(1)))


def max_probability(z: np.ndarray) -> np.ndarray:
    """The probability of the answer, on a log scale (Hendrycks and Gimpel, 2017, arXiv 1610.02136)."""
    return -_rest(z)


def max_logit(z: np.ndarray) -> np.ndarray:
    """The largest logit (Hendrycks et al., 2022, arXiv 1911.11132)."""
    return z.max(1).astype(np.float64)


def energy(z: np.ndarray) -> np.ndarray:
    """The logarithm of the sum of the exponentials of the logits: minus the free energy (Liu et al., 2020, arXiv 2010.03759)."""
    return max_logit(z) + _rest(z)


def entropy(z: np.ndarray) -> np.ndarray:
    """Minus the entropy of the probabilities."""
    log = z.astype(np.float64) - energy(z)[:, None]
    return np.asarray((np.exp(log) * log).sum(1))


def mahalanobis(features: np.ndarray, y: np.ndarray) -> Score:
    """Minus the squared distance to the nearest class mean, by the covariance that classes share (Lee et al., 2018, arXiv
    1807.03888), shrunk towards a ball (Ledoit and Wolf, 2004, doi 10.1016/S0047-259X(03)00096-4): features may be many.
    """
    from scipy.linalg import solve_triangular
    from sklearn.covariance import ledoit_wolf

    features = features.astype(np.float64)
    classes, code = np.unique(y, return_inverse=True)
    means = np.stack([features[code == c].mean(0) for c in range(len(classes))])
    covariance, _ = ledoit_wolf(features - means[code], assume_centered=True)
    # features that never vary would have no scale at all
    covariance[np.diag_indices_from(covariance)] += 1e-12 + 1e-9 * np.trace(covariance) / len(covariance)
    root = np.linalg.cholesky(covariance)

    def white(values: np.ndarray) -> np.ndarray:
        return np.asarray(solve_triangular(root, values.T, lower=True).T)

    centres = white(means)

    def score(found: np.ndarray) -> np.ndarray:
        return -_squared(white(found.astype(np.float64)), centres, 0)

    return score


def neighbors(features: np.ndarray, k: int) -> Score:
    """Minus the distance to the k-th nearest training row, features at unit length (Sun et al., 2022, arXiv 2204.06507)."""
    known = _unit(features)

    def score(found: np.ndarray) -> np.ndarray:
        return -np.sqrt(_squared(_unit(found), known, k - 1))

    return score


def _unit(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float64)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12))


def _squared(values: np.ndarray, others: np.ndarray, rank: int) -> np.ndarray:
    """(n,) the squared distance of each row to the other that has that rank among all by nearness."""
    length, found = np.square(others).sum(1), []
    for part in np.array_split(values, max(1, len(values) * len(others) // PART)):
        squared = np.square(part).sum(1)[:, None] - 2 * part @ others.T + length
        found.append(np.partition(squared, rank, axis=1)[:, rank])
    return np.maximum(np.concatenate(found), 0)


OF_LOGITS: dict[str, Score] = {f.__name__: f for f in (max_probability, max_logit, energy, entropy)}
OF_FEATURES = ("mahalanobis", "neighbors")
