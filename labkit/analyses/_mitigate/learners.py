"""Learners: what a mitigation fits to people, by name, or the user's own."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

from labkit.analyses._guard import in_words
from labkit.analyses._mitigate import networks
from labkit.core.refused import Refused, unknown
from labkit.data.split import Split
from labkit.mitigations import Model
from labkit.models.classifier import Classifier

NARROW = 300  # columns
Objective = Callable[..., Any]
# (x, y, weight, objective, group) -> the model, and how often it went through the people
Fitting = Callable[..., tuple[Model, int]]


@dataclass(eq=False)
class Learner:
    """``fit`` of the leaves: (x, y, weight, objective) -> (x -> (n, classes) probabilities).

    The same people, weights and objective give the same model: draws follow from the seed alone.

    Attributes:
        name, about: which one, and how it is fitted, in words.
        classes: columns of the answer; a class that nobody to learn from is in has probability 0.
        takes_objective: whether it can lower another loss than its own.
        group: the codes of the people to learn from, in their order: what an objective is told.
        fits, passes, seconds: what all its fits took so far; a pass sees all people once.
    """

    name: str
    about: str
    classes: int
    fitting: Fitting = field(repr=False)
    takes_objective: bool = False
    group: np.ndarray | None = field(default=None, repr=False)
    fits: int = 0
    passes: int = 0
    seconds: float = 0.0

    def __call__(self, x: np.ndarray, y: np.ndarray, weight: Any = None, objective: Objective | None = None) -> Model:
        """Fit.

        Raises:
            Refused: inputs, classes and weights that do not belong together or say nothing, people of one class, an
                objective that this learner cannot take or whose people's groups are not known.
        """
        x, y = np.asarray(x), np.asarray(y)
        weight = np.ones(len(y)) if weight is None else np.asarray(weight, np.float64)
        self._check(x, y, weight, objective)
        began = time.perf_counter()
        kept = weight > 0
        group = None if self.group is None or objective is None else self.group[kept]
        with in_words(f"fitting {self.name}", "inputs and a learner that fit each other"):
            model, passes = self.fitting(x[kept], y[kept], weight[kept] / weight[kept].mean(), objective, group)
        self.fits, self.passes = self.fits + 1, self.passes + passes
        self.seconds += time.perf_counter() - began
        return model

    def _check(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray, objective: Objective | None) -> None:
        asked = f"fitting {self.name}"
        if not len(x) == len(y) == len(weight) or not np.isfinite(weight).all() or (weight < 0).any():
            given = f"{len(x)} people, {len(y)} classes and {len(weight)} weights"
            raise Refused(asked, given, "one class and one weight from 0 for each person")
        if not np.isfinite(x).all():
            raise Refused(asked, "inputs that are not finite", "inputs without missing values")
        if len(np.unique(y[weight > 0])) < 2:
            raise Refused(asked, "people of one class", "people of two classes at least, with weights above 0")
        if objective is None:
            return
        if not self.takes_objective:
            given = f"{self.name}, which has a loss of its own"
            raise Refused("a method with a loss to lower", given, "learner='network', or 'own' for a torch model")
        if self.group is None or len(self.group) != len(y):
            known = 0 if self.group is None else len(self.group)
            raise Refused(f"{asked} with an objective", f"groups of {known} and {len(y)} people", "the same people")


def learner(
    given: Any, split: Split, seed: int, group: np.ndarray | None = None, model: Classifier | None = None
) -> Learner:
    """The learner by name, or around what the user gave.

    Args:
        given: "logistic" (regression) or "trees" (boosted, by histograms), of scikit-learn; "network", dense layers; "own",
            the module of ``model`` trained anew; a torch module, trained anew; an estimator with ``fit`` and ``predict_proba``;
            a function (x, y, weight) -> (x -> (n, classes) probabilities).
        split: the people to learn from. group: their codes.

    Raises:
        Refused: a learner that is not known, "own" without a model that has gradients, texts for a learner of columns.
    """
    classes = len(split.classes)
    if isinstance(given, nn.Module) or given == "own":
        own = networks.anew(given if isinstance(given, nn.Module) else model, split, seed)
        return Learner(own.model.name, own.about, classes, own, takes_objective=True, group=group)
    if isinstance(given, str) and given not in NAMES:
        raise unknown("a learner", given, NAMES)
    if split.schema.modality in ("text", "image+text"):
        raise Refused(f"the learner {given!r:.40} on texts", "word numbers, which are no quantities", "learner='own'")
    if given == "network":
        dense = networks.Dense(classes, seed)
        return Learner("network", dense.about, classes, dense, takes_objective=True, group=group)
    if isinstance(given, str):
        make, about = ESTIMATORS[given]
        return Learner(given, about, classes, _estimated(lambda x: make(x, seed), classes, np.float32))
    if hasattr(given, "fit") and hasattr(given, "predict_proba"):
        from sklearn.base import clone

        name = type(given).__name__
        return Learner(name, f"the estimator {name}", classes, _estimated(lambda x: clone(given, safe=False), classes))
    if not callable(given):
        instead = f"{', '.join(NAMES)}, a torch module, an estimator, or a function (x, y, weight) -> predict_proba"
        raise Refused("a learner", f"{given!r:.60}", instead)
    name = getattr(given, "__name__", type(given).__name__)
    return Learner(name, f"the function {name}", classes, _called(given, name, classes))


def _logistic(x: np.ndarray, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    # Newton's method ends nearer to the optimum, in a fifth of the time, where its matrix is small
    return LogisticRegression(solver="newton-cholesky" if x.shape[1] <= NARROW else "lbfgs", max_iter=500)


def _trees(x: np.ndarray, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(random_state=seed)


ESTIMATORS: dict[str, tuple[Callable[[np.ndarray, int], Any], str]] = {
    "logistic": (_logistic, "logistic regression with a weak L2 penalty"),
    "trees": (_trees, "gradient boosting of trees on histograms, with scikit-learn's settings"),
}
NAMES = (*ESTIMATORS, "network", "own")


def _estimated(make: Callable[[np.ndarray], Any], classes: int, kind: Any = None) -> Fitting:
    """A scikit-learn estimator's fit to inputs of a kind of number (None: as they come), its classes at their places."""
    from sklearn.exceptions import ConvergenceWarning

    def fitting(x: np.ndarray, y: np.ndarray, weight: np.ndarray, *_: Any) -> tuple[Model, int]:
        x = np.asarray(x, kind)
        made = make(x)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            made.fit(x, y, sample_weight=weight)

        def answer(x: np.ndarray) -> np.ndarray:
            proba = np.zeros((len(x), classes))
            proba[:, made.classes_] = made.predict_proba(np.asarray(x, kind))
            return proba

        return answer, int(np.max(getattr(made, "n_iter_", 1)))

    return fitting


def _called(given: Callable[..., Any], name: str, classes: int) -> Fitting:
    """A function of the user's, whose answers are looked at."""

    def fitting(x: np.ndarray, y: np.ndarray, weight: np.ndarray, *_: Any) -> tuple[Model, int]:
        predict_proba = given(x, y, weight)
        if not callable(predict_proba):
            given_back = f"a {type(predict_proba).__name__}"
            raise Refused(f"fitting {name}", given_back, "a function x -> (n, classes) probabilities")

        def answer(x: np.ndarray) -> np.ndarray:
            proba = np.asarray(predict_proba(x), np.float64)
            if proba.shape != (len(x), classes) or not np.allclose(proba.sum(1), 1, atol=1e-3) or (proba < 0).any():
                given_back = f"answers of shape {proba.shape} for {len(x)} people"
                raise Refused(f"answers of {name}", given_back, f"{classes} probabilities a person that add up to 1")
            return proba

        return answer, 1

    return fitting
