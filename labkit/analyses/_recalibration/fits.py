"""Maps from probabilities to probabilities, each fitted by maximum likelihood on probabilities and true classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from labkit.records.recalibrate import TINY, Map

# Slopes of log-probabilities stay positive and bounded, so that separable rows do not lead to certainty.
SLOPE, BIAS = (0.01, 100.0), (-100.0, 100.0)
# Penalties that are tried for the full matrix, from the strongest, which leaves temperatures of each class.
PENALTIES = (100.0, 10.0, 1.0, 0.1, 0.01, 1e-3)
Fitter = Callable[[np.ndarray, np.ndarray, np.random.Generator], Map]


@dataclass(frozen=True)
class Way:
    """A way to recalibrate: what it is in words, how it is fitted, and the classes that it takes."""

    about: str
    fit: Fitter
    least: int = 2
    most: int = 10_000


def log_loss(proba: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n,) -log of the probability of the true class."""
    return -np.log(np.maximum(proba[np.arange(len(y)), y], TINY))


def mapped(weight: np.ndarray, bias: np.ndarray) -> Map:
    nothing = np.zeros(0)
    return Map(weight=weight, bias=bias, knot=nothing, height=nothing, knot_of=nothing.astype(np.int64))


def identity(classes: int) -> Map:
    return mapped(np.eye(classes), np.zeros(classes))


def _logs(proba: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.maximum(proba, TINY)))


def _one_hot(y: np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes)[y]


def _minimise(
    log: np.ndarray,
    target: np.ndarray,
    weights: np.ndarray,
    biases: np.ndarray,
    *,
    penalty: float = 0.0,
    start: Map | None = None,
) -> Map:
    """The softmax map of (n, classes) log-probabilities of least mean cross-entropy from ``target`` (n, classes).

    Args:
        weights, biases: (classes, classes) and (classes,) the number of the parameter that stands there; -1 for a fixed 0.
        penalty: on the mean square of what is off the diagonal and on that of the biases.
    """
    from scipy.optimize import minimize

    k = len(biases)
    count = 1 + max(int(weights.max()), int(biases.max()))
    diagonal = np.unique(np.diag(weights))
    off = ~np.eye(k, dtype=bool)

    def unpacked(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        padded = np.append(theta, 0.0)  # number -1 is the fixed 0
        return padded[weights], padded[biases]

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = unpacked(theta)
        z = log @ weight.T + bias
        top = z.max(1, keepdims=True)
        e = np.exp(z - top)
        total = e.sum(1, keepdims=True)
        away = (e / total - target) / len(log)
        value = float((np.log(total) + top).mean() - (target * z).sum() / len(log))
        of_weight, of_bias = away.T @ log, away.sum(0)
        if penalty:
            value += penalty * (float((weight[off] ** 2).mean()) + float((bias**2).mean()))
            of_weight = of_weight + np.where(off, 2 * penalty / off.sum() * weight, 0.0)
            of_bias = of_bias + 2 * penalty / k * bias
        gradient = np.bincount(weights.ravel() + 1, of_weight.ravel(), count + 1)
        gradient += np.bincount(biases + 1, of_bias, count + 1)
        return value, gradient[1:]

    first = np.where(np.isin(np.arange(count), diagonal), 1.0, 0.0)
    if start is not None:
        first[weights[weights >= 0]], first[biases[biases >= 0]] = start.weight[weights >= 0], start.bias[biases >= 0]
    bounds = [SLOPE if i in diagonal else BIAS for i in range(count)]
    options = {"maxiter": 1000, "maxfun": 5000, "ftol": 1e-12, "gtol": 1e-8}
    return mapped(*unpacked(minimize(loss, first, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x))


def _temperature(proba: np.ndarray, y: np.ndarray, generator: np.random.Generator) -> Map:
    k = proba.shape[1]
    return _minimise(_logs(proba), _one_hot(y, k), np.eye(k, dtype=np.int64) - 1, np.full(k, -1))


def _platt(proba: np.ndarray, y: np.ndarray, generator: np.random.Generator) -> Map:
    """Platt's targets stand half a row away from 0 and 1, as if one more row of each class had been seen."""
    hits = int(y.sum())
    high, low = (hits + 1) / (hits + 2), 1 / (len(y) - hits + 2)
    second = np.where(y == 1, high, low)
    return _minimise(
        _logs(proba), np.column_stack([1 - second, second]), np.eye(2, dtype=np.int64) - 1, np.array([-1, 1])
    )


def _vector(proba: np.ndarray, y: np.ndarray, generator: np.random.Generator) -> Map:
    k = proba.shape[1]
    weights = np.where(np.eye(k, dtype=bool), np.arange(k), -1)
    return _minimise(_logs(proba), _one_hot(y, k), weights, np.append(-1, k + np.arange(k - 1)))


def _dirichlet(proba: np.ndarray, y: np.ndarray, generator: np.random.Generator) -> Map:
    """The penalty is weakened for as long as that does better on the halves of these rows in turn."""
    half = generator.permutation(len(y)) % 2 == 0
    paths = [(_weaker(proba[rows], y[rows]), proba[~rows], y[~rows]) for rows in (half, ~half)]
    best, steps = np.inf, 0
    for _ in PENALTIES:
        lost = sum(float(log_loss(next(path)(held), true).sum()) for path, held, true in paths)
        if lost >= best:
            break
        best, steps = lost, steps + 1
    return list(islice(_weaker(proba, y), max(steps, 1)))[-1]


def _weaker(proba: np.ndarray, y: np.ndarray) -> Iterator[Map]:
    """The map under each penalty in turn, begun from the one before. Log-probabilities are taken about their means, so that
    a shift, and the penalty on it, is one at a usual row."""
    k, log = proba.shape[1], _logs(proba)
    weights, biases, middle = np.arange(k * k).reshape(k, k), k * k + np.arange(k), log.mean(0)
    found = None
    for penalty in PENALTIES:
        found = _minimise(log - middle, _one_hot(y, k), weights, biases, penalty=penalty, start=found)
        yield mapped(found.weight, found.bias - found.weight @ middle)


def _isotonic(proba: np.ndarray, y: np.ndarray, generator: np.random.Generator) -> Map:
    """Heights stay half a row away from 0 and 1: no true class may be impossible."""
    from scipy.optimize import isotonic_regression

    k, edge = proba.shape[1], 0.5 / (len(y) + 1)
    knots, heights, owners = [], [], []
    for c in range(k) if k > 2 else (1,):
        value, code = np.unique(proba[:, c].astype(float), return_inverse=True)
        n = np.bincount(code).astype(float)
        line = np.asarray(isotonic_regression(np.bincount(code, y == c) / n, weights=n).x)
        turns = np.append(True, np.diff(line) > 0) | np.append(np.diff(line) > 0, True)  # both ends of each level
        knots.append(value[turns])
        heights.append(np.clip(line[turns], edge, 1 - edge))
        owners.append(np.full(int(turns.sum()), c))
    parts = (np.concatenate(v) for v in (knots, heights, owners))
    return Map(weight=np.eye(k), bias=np.zeros(k), **dict(zip(("knot", "height", "knot_of"), parts)))


WAYS = {
    "temperature": Way("one slope for all log-probabilities", _temperature),
    "platt": Way("a slope and a shift of the log-odds", _platt, most=2),
    "beta": Way("a slope for each of the two log-probabilities and a shift", _vector, most=2),
    "vector": Way("a slope and a shift for each class", _vector),
    "dirichlet": Way("a matrix and shifts of all log-probabilities, penalised off the diagonal", _dirichlet),
    "isotonic": Way("for each class any rising line, divided by their sum", _isotonic),
}
