"""Models that anyone can read, fitted to training examples: what a network has to be better than."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch

from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.models import glassbox
from labkit.models.architectures.additive import additive

# Steps of all features together that a boosting machine takes, so that it takes seconds for a table of any width.
STEPS, MOST_ROUNDS, LEAST_ROUNDS = 6000, 500, 100
# Numbers that a logistic regression on images or series is fitted to, at most.
NUMBERS = 5_000_000
# scikit-learn's trees take categories up to this number.
MOST_CATEGORIES = 255
# Several models of one data set are audited one after the other: what was fitted last is kept.
KEPT = 4
_kept: dict[Any, list[Readable]] = {}


@dataclass(frozen=True, eq=False)
class Readable:
    """One baseline's answers on the test rows.

    Attributes:
        about: how it was fitted, in words.
        proba: (n, classes).
        fitted_on: training rows.
        can_be_read: whether it is itself a sum of terms.
    """

    name: str
    about: str
    proba: np.ndarray
    fitted_on: int
    can_be_read: bool = True


def readable(train: Split, test: Split, seed: int) -> list[Readable]:
    """Every baseline that fits the data: the majority class, by their kind logistic regression and a glass box; and, for
    tables and series, boosted trees, which nobody can read but anybody can fit.

    Nothing of the test rows but their inputs is looked at.

    Raises:
        Refused: training rows of one class.
    """
    key = train.digest, test.digest, train.schema, train.classes, seed
    if key not in _kept:
        made = _all(train, test, seed)
        while len(_kept) >= KEPT:
            del _kept[next(iter(_kept))]
        _kept[key] = made
    return _kept[key]


def _all(train: Split, test: Split, seed: int) -> list[Readable]:
    classes = len(train.classes)
    present, y = np.unique(train.y, return_inverse=True)
    if len(present) < 2:
        given = f"{len(train)} training rows of the class {train.classes[present[0]]!r}" if len(train) else "no rows"
        raise Refused("baselines", given, "training rows of at least two classes")
    share = np.bincount(train.y, minlength=classes) / len(train)
    about = f"always {train.classes[int(share.argmax())]!r}, the most frequent class in training"
    found = [Readable("majority class", about, np.tile(share, (len(test), 1)), len(train))]
    for fit in _FITS.get(train.schema.modality, ()):
        made = fit(train, y, test, seed)
        proba = np.zeros((len(test), classes))
        proba[:, present] = made.proba
        found.append(replace(made, proba=proba))
    return found


def packages() -> dict[str, str]:
    """The versions of the libraries that fit."""
    found = {}
    for name in ("scikit-learn", "interpret-core"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _logistic(train: Split, y: np.ndarray, test: Split, seed: int) -> Readable:
    fitted = _quietly(lambda: glassbox.logistic(train.x, y, train.schema.sizes, int(y.max()) + 1, max_iter=500))
    about = "on standardised numbers and one-hot categories"
    return Readable("logistic regression", about, _sum_of_terms(fitted, test.x), len(train))


def _glass_box(train: Split, y: np.ndarray, test: Split, seed: int) -> Readable:
    """An explainable boosting machine; without interpret-core trees that each look at one feature, a sum as well."""
    sizes = train.schema.sizes
    rounds = max(LEAST_ROUNDS, min(MOST_ROUNDS, STEPS // len(sizes)))
    options = {"outer_bags": 1, "interactions": 0, "learning_rate": 0.2, "max_rounds": rounds}
    try:
        fitted = glassbox.boosted(train.x, y, sizes, int(y.max()) + 1, seed, **options)
    except Refused:
        return _additive_trees(train, y, test, seed)
    about = f"explainable boosting machine: a step function of each feature, no pairs, at most {rounds} rounds"
    return Readable("glass box", about, _sum_of_terms(fitted, test.x), len(train))


def _additive_trees(train: Split, y: np.ndarray, test: Split, seed: int) -> Readable:
    from sklearn.ensemble import HistGradientBoostingClassifier

    kinds = [0 < size <= MOST_CATEGORIES for size in train.schema.sizes]
    model = HistGradientBoostingClassifier(
        interaction_cst="no_interactions", categorical_features=kinds, max_iter=300, random_state=seed
    ).fit(train.x, y)
    about = "boosted trees of one feature each, in place of an explainable boosting machine: interpret-core is not here"
    return Readable("additive trees", about, model.predict_proba(test.x), len(train))


def _boosted_trees(train: Split, y: np.ndarray, test: Split, seed: int) -> Readable:
    from sklearn.ensemble import HistGradientBoostingClassifier

    kinds = [0 < size <= MOST_CATEGORIES for size in train.schema.sizes] or None
    flat, new = (s.x.reshape(len(s), -1) for s in (train, test))
    model = HistGradientBoostingClassifier(categorical_features=kinds, random_state=seed).fit(flat, y)
    about = "of all features together, with scikit-learn's settings: nobody can read them either"
    return Readable("boosted trees", about, model.predict_proba(new), len(train), can_be_read=False)


def _words(train: Split, y: np.ndarray, test: Split, seed: int) -> Readable:
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression

    def counts(x: np.ndarray) -> csr_matrix:
        row, place = np.nonzero(x)  # word 0 is padding
        shape = (len(x), int(max(train.x.max(), test.x.max())) + 1)
        return csr_matrix((np.ones(len(row)), (row, x[row, place])), shape=shape)

    weigh = TfidfTransformer(sublinear_tf=True).fit(counts(train.x))
    model = _quietly(lambda: LogisticRegression(C=2.0, max_iter=500).fit(weigh.transform(counts(train.x)), y))
    about = "on the words, each weighed by how rare it is (TF-IDF), whatever their order"
    return Readable("logistic regression", about, model.predict_proba(weigh.transform(counts(test.x))), len(train))


def _values(train: Split, y: np.ndarray, test: Split, seed: int) -> Readable:
    from sklearn.linear_model import LogisticRegression

    flat, new = (s.x.reshape(len(s), -1) for s in (train, test))
    most = max(1, NUMBERS // flat.shape[1])
    rows = np.arange(len(flat))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).permutation(len(rows))[:most])
    if len(np.unique(y[rows])) <= y.max():
        raise Refused(
            "baselines", f"a class that none of {len(rows)} training rows drawn has", "more rows of each class"
        )
    std = float(flat[rows].std()) or 1.0
    model = _quietly(lambda: LogisticRegression(C=0.01, max_iter=100).fit(flat[rows] / std, y[rows]))
    return Readable("logistic regression", "on the single values", model.predict_proba(new / std), len(rows))


def _sum_of_terms(fitted: glassbox.Fitted, x: np.ndarray) -> np.ndarray:
    config, state = fitted
    module = additive(**config)
    module.load_state_dict(state)
    with torch.no_grad():
        return module(torch.tensor(x)).double().softmax(1).numpy()


def _quietly(fit: Callable[[], Any]) -> Any:
    """A fit without scikit-learn's warning that it stopped at its last step."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit()


_FITS = {
    "tabular": (_logistic, _glass_box, _boosted_trees),
    "text": (_words,),
    "image": (_values,),
    "series": (_values, _boosted_trees),
}
