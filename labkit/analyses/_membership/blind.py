"""A guess at membership that never asks the model: what it can tell, an attack on the model tells for nothing."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from labkit.analyses._examples import input_space
from labkit.core.intervals import delong
from labkit.data.split import Split

FOLDS = 5
LIMIT = 0.55  # a guess whose area surely lies above it makes any attack worthless
# Inputs of more values than this are put together into so many directions of largest spread.
WIDE, DIRECTIONS = 1000, 50


def blind(rows: Split, member: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """(n,) how much each row looks like a member to a logistic regression and to boosted trees that were fitted to the
    other rows (5 folds), by its inputs, its label, and how unlikely the label is for such inputs.

    Scores are ranks within a fold from 0 to 1, since the folds' own levels differ.

    Source: Das, Zhang and Tramèr, 2024, arXiv 2406.16201.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    fold = _folds(member, seed)
    values = _values(rows, seed)
    few = _directions(values, seed)
    odd = _unlikely(few, rows.y, fold)
    label = np.eye(len(rows.classes))[rows.y]
    wide = values if values.shape[1] <= WIDE or not isinstance(values, np.ndarray) else few

    def trees() -> Any:
        return HistGradientBoostingClassifier(max_iter=60, learning_rate=0.1, max_leaf_nodes=15, random_state=seed)

    return {
        "logistic regression": _held_out(_logistic, _beside(wide, label, odd), member, fold),
        "boosted trees": _held_out(trees, np.hstack([few, label, odd]), member, fold),
    }


def told_apart(guesses: Mapping[str, np.ndarray], member: np.ndarray) -> bool:
    """Whether a guess surely does better than ``LIMIT``."""
    return any(delong(member.astype(int), score)[1] > LIMIT for score in guesses.values())


def _values(rows: Split, seed: int) -> Any:
    """(n, width) inputs as numbers; words as counts in a sparse matrix, since few of them stand in one text."""
    from scipy.sparse import csr_matrix

    schema = rows.schema
    if schema.modality not in ("text", "image+text"):
        found = input_space(rows)[1](rows.x)
        return found / np.maximum(found.std(0), 1e-6 + 0.1 * found.std())
    words = rows.x[:, schema.pixels :].astype(np.int64)
    row, place = np.nonzero(words)  # word 0 is padding
    shape = len(words), len(schema.vocabulary)
    counts = csr_matrix((np.ones(len(row)), (row, words[row, place])), shape=shape)
    counts.data = np.log1p(counts.data)
    if not schema.pixels:
        return counts
    return _beside(counts, _directions(rows.x[:, : schema.pixels].astype(float), seed))


def _directions(values: Any, seed: int) -> np.ndarray:
    """(n, at most 50) the values themselves, or what they are in the directions of their largest spread."""
    from sklearn.decomposition import TruncatedSVD

    if values.shape[1] <= DIRECTIONS:
        return values if isinstance(values, np.ndarray) else values.toarray()
    found = TruncatedSVD(min(DIRECTIONS, *(s - 1 for s in values.shape)), random_state=seed).fit_transform(values)
    return np.asarray(found / np.maximum(found.std(0), 1e-12))


def _unlikely(values: np.ndarray, y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """(n, 1) minus the log of the label's probability, by a logistic regression fitted to the other folds."""
    found = np.zeros((len(y), 1))
    for k in range(FOLDS):
        rest, now = fold != k, np.flatnonzero(fold == k)
        known, code = np.unique(y[rest], return_inverse=True)
        if len(known) < 2:
            continue
        proba = quietly(lambda: _logistic().fit(values[rest], code)).predict_proba(values[now])  # noqa: B023
        own = proba[np.arange(len(now)), np.minimum(np.searchsorted(known, y[now]), len(known) - 1)]
        found[now, 0] = -np.log(np.where(np.isin(y[now], known), np.maximum(own, 1e-6), 1e-6))
    return found


def _held_out(make: Callable[[], Any], values: Any, member: np.ndarray, fold: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    score = np.zeros(len(member))
    for k in range(FOLDS):
        rest, now = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        model = quietly(lambda: make().fit(values[rest], member[rest]))  # noqa: B023
        score[now] = rankdata(model.predict_proba(values[now])[:, 1]) / len(now)
    return score


def _folds(member: np.ndarray, seed: int) -> np.ndarray:
    """(n,) the fold of each row; members and others are spread evenly."""
    from labkit.core.resampling import stream

    draws = stream(seed, "membership", "folds")
    fold = np.zeros(len(member), np.int64)
    for side in (member, ~member):
        fold[draws.permutation(np.flatnonzero(side))] = np.arange(side.sum()) % FOLDS
    return fold


def _beside(wide: Any, *others: np.ndarray) -> Any:
    from scipy.sparse import csr_matrix, hstack

    if isinstance(wide, np.ndarray):
        return np.hstack([wide, *others])
    return hstack([wide, *map(csr_matrix, others)]).tocsr()


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=0.05, max_iter=100)


def quietly(fit: Callable[[], Any]) -> Any:
    """A fit without scikit-learn's warning that it stopped at its last step."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit()
