"""Groups told from inputs by learners that were fitted to other people, and from single columns."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.core import areas, intervals

# Trees that are strong enough for tables of a few thousand people, with settings that no data chose.
TREES = {"max_iter": 40, "max_leaf_nodes": 8, "learning_rate": 0.15, "early_stopping": False}
MOST_CATEGORIES = 255
LEVELS = 10
# How often the values of a feature are dealt at random, for its importance.
DEALS = 3
Learner = Callable[[np.ndarray, np.ndarray], Any]


@dataclass(frozen=True, eq=False)
class Crossed:
    """People's scores by learners that did not see them.

    Attributes:
        proba: (n, groups). fitted: (n, groups) mean over the learners that did see them.
        models: one a fold; held: the people of each.
    """

    proba: np.ndarray
    fitted: np.ndarray
    models: list[Any]
    held: list[np.ndarray]


def learners(sizes: Sequence[int] | None, seed: int) -> dict[str, Learner]:
    """What tells groups from a table with so many categories a column (0 for numbers), or from plain vectors (None)."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def linear(x: np.ndarray, y: np.ndarray) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, C=0.1)).fit(x, y)

    if sizes is None:
        return {"logistic regression": linear}
    coded = [0 < size <= MOST_CATEGORIES for size in sizes]

    def trees(x: np.ndarray, y: np.ndarray) -> Any:
        model = HistGradientBoostingClassifier(categorical_features=coded, random_state=seed % 2**32, **TREES)
        return model.fit(x, y)

    def one_hot(x: np.ndarray, y: np.ndarray) -> Any:
        return _Encoded(linear(encoded(x, sizes), y), tuple(sizes))

    return {"boosted trees": trees, "logistic regression": one_hot}


@dataclass(frozen=True, eq=False)
class _Encoded:
    """A model of encoded columns as one of the columns."""

    model: Any
    sizes: tuple[int, ...]

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.model.predict_proba(encoded(x, self.sizes)))


def encoded(x: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Numbers with holes as 0 and told apart, and one-hot categories."""
    parts = []
    for column, size in zip(x.T, sizes):
        if size:
            parts.append(np.eye(size)[column.astype(int)])
        else:
            hole = np.isnan(column)
            parts.append(np.column_stack([np.where(hole, 0.0, column), hole]))
    return np.hstack(parts)


def dealt_folds(code: np.ndarray, folds: int, generator: np.random.Generator) -> np.ndarray:
    """(n,) the fold of each person, with each group in all folds alike."""
    fold = np.empty(len(code), np.int64)
    mixed = generator.permutation(len(code))
    order = mixed[np.argsort(code[mixed], kind="stable")]
    fold[order] = np.arange(len(code)) % folds
    return fold


def crossed(fit: Learner, x: np.ndarray, code: np.ndarray, groups: int, fold: np.ndarray) -> Crossed:
    """Fit to all folds but one, score that one, for each."""
    proba, fitted, models, held = np.zeros((len(code), groups)), np.zeros((len(code), groups)), [], []
    folds = fold.max() + 1
    for i in range(folds):
        inside = fold != i
        model = fit(x[inside], code[inside])
        present = np.unique(code[inside])
        told = np.zeros((len(code), groups))
        told[:, present] = model.predict_proba(x)
        proba[~inside] = told[~inside]
        fitted[inside] += told[inside] / (folds - 1)
        models.append(model)
        held.append(np.flatnonzero(~inside))
    return Crossed(proba, fitted, models, held)


def lost(
    found: Crossed,
    x: np.ndarray,
    code: np.ndarray,
    columns: Sequence[int],
    targets: Sequence[int],
    generator: np.random.Generator,
) -> np.ndarray:
    """(targets, 2): how much area is lost when the columns' values are dealt at random together, and its standard error.

    The models stay: those that did not see a person score that person again (Breiman, 2001).
    """
    dealt = np.zeros((DEALS, *found.proba.shape))
    for one in dealt:
        for model, rows in zip(found.models, found.held):
            mixed = x[rows].copy()
            mixed[:, columns] = x[generator.permutation(rows)][:, columns]
            one[rows[:, None], np.searchsorted(np.arange(one.shape[1]), model.classes_)] = model.predict_proba(mixed)
    return np.array([areas.difference(code == t, found.proba[:, t], dealt[:, :, t]) for t in targets])


def levels(column: np.ndarray, coded: bool) -> np.ndarray:
    """(n,) a column in levels: its categories, or at most ten of about equal size; holes are a level."""
    if coded or len(np.unique(column)) <= LEVELS:
        return np.unique(column, return_inverse=True)[1]
    cuts = np.unique(np.nanquantile(column, np.arange(1, LEVELS) / LEVELS))
    return np.where(np.isnan(column), len(cuts) + 1, np.searchsorted(cuts, column, side="left"))


def of_levels(level: np.ndarray, code: np.ndarray, groups: int, fold: np.ndarray) -> np.ndarray:
    """(n, groups) share of each group among the people of the same level in the other folds."""
    size, folds = int(level.max()) + 1, int(fold.max()) + 1
    key = (fold * size + level) * groups + code
    table = np.bincount(key, minlength=folds * size * groups).reshape(folds, size, groups)
    others = table.sum(0) - table
    prior = others.sum(1, keepdims=True) / others.sum((1, 2), keepdims=True)
    # a level of few people is taken to be as everybody, by five people's weight
    share = (others + 5 * prior) / (others.sum(2, keepdims=True) + 5)
    return share[fold, level]


def independent(level: np.ndarray, code: np.ndarray, groups: int) -> float:
    """p-value of Pearson's chi-square for levels and groups; levels too rare for it (fewer than 5 expected) go together."""
    from scipy.stats import chi2

    table = np.bincount(level * groups + code, minlength=(int(level.max()) + 1) * groups).reshape(-1, groups)
    table = table[:, table.sum(0) > 0]
    rare = table.sum(1) * table.sum(0).min() / table.sum() < 5
    table = np.vstack([table[~rare], table[rare].sum(0, keepdims=True)])
    table = table[table.sum(1) > 0]
    if len(table) < 2 or table.shape[1] < 2:
        return 1.0
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    statistic = ((table - expected) ** 2 / expected).sum()
    return float(chi2.sf(statistic, (len(table) - 1) * (table.shape[1] - 1)))


def tells(column: np.ndarray, code: np.ndarray) -> str:
    """Whether a column is the groups under another name, or determines them: "the attribute", "determines it" or "".

    Each value must go with one group, but for one in a thousand of the people outside the largest group. Values that
    hardly repeat do so by chance, and must then lie in few stretches, as ages do in age bands.
    """
    value, place = np.unique(column, return_inverse=True)
    groups = int(code.max()) + 1
    table = np.bincount(place * groups + code, minlength=len(value) * groups).reshape(-1, groups)
    present = table.sum(0) > 0
    allowed = (len(code) - table.sum(0).max()) / 1000
    if present.sum() < 2 or len(code) - table.max(1).sum() > allowed:
        return ""
    stretches = 1 + np.count_nonzero(np.diff(table.argmax(1)))
    if len(value) > len(code) / 10 and stretches > 2 * groups:
        return ""
    back = len(code) - table.max(0).sum() <= allowed
    return "the attribute" if back else "determines it"


def area(code: np.ndarray, target: int, score: np.ndarray) -> tuple[float, float, float]:
    """The area of one group's score against all others, with DeLong's interval."""
    return intervals.delong((code == target).astype(int), score)
