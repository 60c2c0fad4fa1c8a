"""Models that can be read, fitted to a table by other libraries, as options and weights of the architecture ``additive``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.core.refused import Refused
from labkit.models.architectures.additive import LINE

Fitted = tuple[dict[str, Any], dict[str, Tensor]]


def boosted(x: np.ndarray, y: np.ndarray, sizes: Sequence[int], classes: int, seed: int, **options: Any) -> Fitted:
    """An explainable boosting machine: step functions of single features and of pairs, fitted by boosting in turn (Nori,
    Jenkins, Koch and Caruana, 2019, arXiv 1909.09223).

    Args:
        x: (n, features) numbers in their own unit, categories as codes.
        sizes: for each feature the number of its categories; 0 for a number.
        options: those of interpret's ``ExplainableBoostingClassifier``.

    Raises:
        Refused: without interpret-core.
    """
    machine = boosting_machine(sizes, seed, **options).fit(typed(x, sizes), y)
    terms, state = [], {"intercept": _by_class(machine.intercept_, classes)}
    for t, (features, scores) in enumerate(zip(machine.term_features_, machine.term_scores_)):
        cuts = [_cuts(machine.bins_, f, len(features), sizes[f]) for f in features]
        cells = [_cells(machine.bins_, f, len(features), sizes[f]) for f in features]
        state |= {f"terms.{t}.cuts{f}": torch.from_numpy(c) for f, c in zip(features, cuts)}
        state[f"terms.{t}.values"] = _by_class(scores[np.ix_(*cells)], classes, across=len(features))
        terms.append([[int(f), len(c)] for f, c in zip(features, cells)])
    return {"classes": classes, "terms": terms}, state


def boosting_machine(sizes: Sequence[int], seed: int, **options: Any) -> Any:
    """An unfitted explainable boosting machine on one thread. Refused without interpret-core."""
    try:
        from interpret.glassbox import ExplainableBoostingClassifier
    except ImportError:
        instead = 'pip install "labkit[glassbox]"'
        raise Refused("an explainable boosting machine", "no package interpret-core", instead) from None
    kinds = ["nominal" if size else "continuous" for size in sizes]
    return ExplainableBoostingClassifier(feature_types=kinds, random_state=seed, n_jobs=1, **options)


def typed(x: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """A table as a boosting machine takes it: numbers as they are, category codes as text."""
    columns = [c.astype(int).astype(str) if size else c.astype(np.float64) for c, size in zip(x.T, sizes)]
    return np.array(columns, object).T


def logistic(x: np.ndarray, y: np.ndarray, sizes: Sequence[int], classes: int, **options: Any) -> Fitted:
    """Logistic regression on standardised numbers and one-hot categories, by scikit-learn.

    Args:
        x, sizes: as for ``boosted``.
        options: those of scikit-learn's ``LogisticRegression``.
    """
    from sklearn.linear_model import LogisticRegression

    mean = np.where(sizes, 0.0, x.mean(0, dtype=np.float64))
    std = np.where(sizes, 1.0, x.std(0, dtype=np.float64))
    std[std == 0] = 1.0
    parts = [
        np.eye(size)[column.astype(int)] if size else column[:, None]
        for column, size in zip(((x - mean) / std).T, sizes)
    ]
    model = LogisticRegression(**options).fit(np.hstack(parts), y)
    weights = np.split(model.coef_.T, np.cumsum([part.shape[1] for part in parts])[:-1])
    state = {"intercept": _by_class(model.intercept_, classes)}
    for i, (size, weight) in enumerate(zip(sizes, weights)):
        if size:
            state[f"terms.{i}.cuts{i}"] = _between_codes(size)
            state[f"terms.{i}.values"] = _by_class(weight, classes, across=1)
        else:
            state |= {f"terms.{i}.mean": _plain(mean[i]), f"terms.{i}.std": _plain(std[i])}
            state[f"terms.{i}.slope"] = _by_class(weight[0], classes)
    return {"classes": classes, "terms": [[[i, size or LINE]] for i, size in enumerate(sizes)]}, state


def _cuts(bins: Sequence[Any], feature: int, across: int, size: int) -> np.ndarray:
    """Where the cells of a feature begin, in a term of so many features. A cut is rounded up to the next float32: the
    same float32 inputs lie below it."""
    if size:
        return _between_codes(size).numpy()
    exact = _level(bins, feature, across)
    rounded = exact.astype(np.float32)
    return np.where(rounded < exact, np.nextafter(rounded, np.float32(np.inf)), rounded)


def _cells(bins: Sequence[Any], feature: int, across: int, size: int) -> np.ndarray:
    """Which row of a machine's table belongs to each cell. The first is for missing values, the last for unknown ones."""
    level = _level(bins, feature, across)
    if not size:
        return np.arange(1, len(level) + 2)
    return np.array([level.get(str(code), -1) for code in range(size)])


def _level(bins: Sequence[Any], feature: int, across: int) -> Any:
    """A feature's bins in terms of so many features: pairs have coarser ones."""
    levels = bins[feature]
    return levels[min(len(levels), across) - 1]


def _by_class(scores: Any, classes: int, across: int = 0) -> Tensor:
    """Scores with one number a class behind the first ``across`` axes. A score for the second of two classes is halved
    between them: the difference of the logits is the score."""
    values = np.asarray(scores, np.float64)
    values = values.reshape(*values.shape[:across], -1)
    if classes == 2 and values.shape[-1] == 1:
        values = np.concatenate([-values / 2, values / 2], -1)
    return torch.from_numpy(values.astype(np.float32))


def _between_codes(size: int) -> Tensor:
    return torch.arange(1.0, size) - 0.5


def _plain(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float32)
