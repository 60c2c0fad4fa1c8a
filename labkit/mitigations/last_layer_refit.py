"""The last layer fitted again to people of whom every group and class counts alike."""

from __future__ import annotations

import warnings
from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.core.refused import Refused
from labkit.mitigations import Answer

LEAST = 10  # people in the smallest cell


def last_layer_refit(
    features: np.ndarray,
    score: np.ndarray,
    y: np.ndarray,
    group: np.ndarray,
    generator: np.random.Generator,
    *,
    strength: Annotated[float, Range(0, 1), "share of the new layer in the answer's log-odds"] = 1.0,
    draws: Annotated[int, Range(1, 100, log=True), "balanced samples whose layers are averaged"] = 10,
    c: Annotated[float, Range(0.001, 100, log=True), "the smaller, the fewer features weigh (L1)"] = 0.3,
) -> Answer:
    """Deep feature reweighting: a logistic regression on what the model makes of people before its last layer, fitted to
    samples in which every group of every class has as many people as the smallest has, and averaged over samples.

    The rest of the network stays as it is: good features are there, it is the last layer that leans on the easy one. The
    penalty is not tuned on the people who judge, as the authors tune it; at a ``strength`` below 1 the log-probabilities
    of the new layer and of the model are mixed. Any number of classes and groups.

    Source: Kirichenko, Izmailov and Wilson, 2023, arXiv 2204.02937.

    Returns:
        (features, score) -> (n, classes) probabilities.

    Raises:
        Refused: fewer than 10 people in a group of a class, of those that there are.
    """
    classes = score.shape[1]
    cells = [np.flatnonzero((group == g) & (y == k)) for g in np.unique(group) for k in np.unique(y)]
    cells = [c for c in cells if len(c)]
    least = min(map(len, cells))
    if least < LEAST:
        raise Refused("last_layer_refit", f"{least} people of a group in a class", f"{LEAST}, or groups put together")
    middle, spread = features.mean(0), features.std(0)
    spread = np.where(spread > 0, spread, 1.0)
    weight, shift = np.zeros((features.shape[1], classes)), np.zeros(classes)
    for _ in range(draws):
        rows = np.concatenate([generator.choice(cell, least, replace=False) for cell in cells])
        slopes, start = _layer((features[rows] - middle) / spread, y[rows], classes, c)
        weight, shift = weight + slopes / draws, shift + start / draws

    def answer(features: np.ndarray, score: np.ndarray) -> np.ndarray:
        logits = (features - middle) / spread @ weight + shift
        logits -= np.logaddexp.reduce(logits, axis=1, keepdims=True)
        mixed = strength * logits + (1 - strength) * np.log(np.clip(score, np.finfo(float).tiny, None))
        return np.asarray(np.exp(mixed - np.logaddexp.reduce(mixed, axis=1, keepdims=True)))

    return answer


def _layer(x: np.ndarray, y: np.ndarray, classes: int, c: float) -> tuple[np.ndarray, np.ndarray]:
    """(features, classes) weights and (classes,) shifts; a class that nobody is in is never answered."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    two = len(np.unique(y)) == 2
    model = LogisticRegression(l1_ratio=1.0, solver="liblinear" if two else "saga", C=c, max_iter=300, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y)
    weight, shift = np.zeros((x.shape[1], classes)), np.full(classes, -1e9)
    slopes, start = (model.coef_, model.intercept_) if not two else _twice(model.coef_, model.intercept_)
    weight[:, model.classes_], shift[model.classes_] = slopes.T, start
    return weight, shift


def _twice(slopes: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The second class's log-odds, as logits of both classes."""
    return np.concatenate([-slopes / 2, slopes / 2]), np.concatenate([-start / 2, start / 2])
