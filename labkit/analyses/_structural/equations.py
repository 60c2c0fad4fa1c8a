"""Structural equations fitted to rows: what is left of each column when its parents are known, and what it would be if
they were others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from labkit.analyses._structural.graph import Graph
from labkit.data.schema import Schema

Kind = Literal["linear", "trees"]
RARE = 1e-6  # probability of a category that the fit has not seen
TIED = (
    0.1  # share of rows with one value from which a number counts as ordered levels: nothing added to a mean makes it
)
LEVELS = 20  # of such a number at most


@dataclass(eq=False)
class Table:
    """Rows with the attribute: x as the model reads it, a (n,) 0 for the first group and 1 for the second."""

    x: np.ndarray
    a: np.ndarray


@dataclass(eq=False)
class Equation:
    """One column given its parents: a mean and what is added to it, or the chances of categories or of ordered levels.

    Attributes:
        size: categories or levels, 0 for a number with a mean.
        levels: None, or where each level of a number begins, and the value that stands for it.
    """

    column: int
    size: int
    inputs: Inputs
    fitted: Any = None
    levels: tuple[np.ndarray, np.ndarray] | None = None

    def code(self, x: np.ndarray) -> np.ndarray:
        """(n,) the category or level of rows."""
        values = x[:, self.column]
        if self.levels is None:
            return np.asarray(values.astype(int))
        return np.maximum(np.searchsorted(self.levels[0], values, side="right") - 1, 0)

    def mean(self, x: np.ndarray, a: np.ndarray) -> np.ndarray:
        return np.asarray(self.fitted.predict(self.inputs(x, a)), np.float64)

    def chances(self, x: np.ndarray, a: np.ndarray) -> np.ndarray:
        """(n, size) log-probabilities."""
        p = np.full((len(x), self.size), RARE)
        p[:, self.fitted.classes_.astype(int)] = self.fitted.predict_proba(self.inputs(x, a))
        p = np.maximum(p, RARE)
        return np.log(p / p.sum(1, keepdims=True))


@dataclass(eq=False)
class Inputs:
    """Parents as numbers: numbers standardised, categories and the attribute one of each."""

    parents: tuple[int, ...]
    sizes: tuple[int, ...]
    middle: np.ndarray
    spread: np.ndarray

    def __call__(self, x: np.ndarray, a: np.ndarray) -> np.ndarray:
        parts = []
        for parent in self.parents:
            if parent < 0:
                parts.append(a[:, None].astype(np.float64))
            elif self.sizes[parent]:
                parts.append(np.eye(self.sizes[parent])[x[:, parent].astype(int)])
            else:
                parts.append(((x[:, parent] - self.middle[parent]) / self.spread[parent])[:, None])
        return np.column_stack(parts)


class _Constant:
    """A column of one category in the rows of the fit."""

    def __init__(self, value: float) -> None:
        self.classes_ = np.array([value])

    def predict_proba(self, inputs: np.ndarray) -> np.ndarray:
        return np.ones((len(inputs), 1))


def fit(graph: Graph, only: tuple[str, ...], rows: Table, schema: Schema, kind: Kind, seed: int) -> dict[str, Equation]:
    """The equations of the columns named, each fitted to the rows."""
    names = [f.name for f in schema.features]
    spread = np.maximum(rows.x.std(0), 1e-9)
    found = {}
    for name in only:
        parents = tuple(-1 if p == graph.attribute else names.index(p) for p in graph.parents[name])
        inputs = Inputs(parents, schema.sizes, rows.x.mean(0), spread)
        column = names.index(name)
        values = rows.x[:, column]
        levels = None if schema.sizes[column] else _levels(values)
        size = schema.sizes[column] if levels is None else len(levels[0])
        made = Equation(column, size, inputs, levels=levels)
        target = made.code(rows.x) if size else values.astype(np.float64)
        one = size > 0 and len(np.unique(target)) < 2
        made.fitted = (
            _Constant(target[0]) if one else _learner(size > 0, kind, seed).fit(inputs(rows.x, rows.a), target)
        )
        found[name] = made
    return found


def _levels(values: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Where the levels of a number with many equal values begin, and the middle value of each; None for any other."""
    unique, count = np.unique(values, return_counts=True)
    if count.max() < TIED * len(values):
        return None
    if len(unique) > LEVELS:
        unique = np.unique(np.quantile(values, np.linspace(0, 1, LEVELS + 1)[:-1], method="inverted_cdf"))
    code = np.maximum(np.searchsorted(unique, values, side="right") - 1, 0)
    return unique, np.array([np.quantile(values[code == k], 0.5, method="inverted_cdf") for k in range(len(unique))])


def _learner(category: bool, kind: Kind, seed: int) -> Any:
    if kind == "trees":
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        made = HistGradientBoostingClassifier if category else HistGradientBoostingRegressor
        return made(max_iter=50, learning_rate=0.15, random_state=seed)
    from sklearn.linear_model import LogisticRegression, Ridge

    return LogisticRegression(C=10.0, max_iter=300) if category else Ridge(alpha=1e-3)


def abducted(equation: Equation, rows: Table, generator: np.random.Generator) -> np.ndarray:
    """What of the column its parents leave open: for a number (n,) what is added to the mean, or, where it has levels, a draw
    of the person's rank among those of the same parents; for categories (n, size) a draw of Gumbel noise that makes the
    observed one the largest (Oberst and Sontag, 2019, arXiv 1905.05824)."""
    if not equation.size:
        return rows.x[:, equation.column] - equation.mean(rows.x, rows.a)
    chances, own = equation.chances(rows.x, rows.a), equation.code(rows.x)
    if equation.levels is not None:
        below = _below(chances)
        low, high = (np.take_along_axis(below, (own + k)[:, None], 1)[:, 0] for k in (0, 1))
        return low + (high - low) * generator.uniform(0.001, 0.999, len(own))
    # the largest of all sums is Gumbel; the others are Gumbel too, cut off at it (Maddison et al., 2014, arXiv 1411.0030)
    top = -np.log(generator.exponential(size=len(own)))
    other = chances - np.log(generator.exponential(size=chances.shape))
    cut = -np.logaddexp(-other, -top[:, None])
    cut[np.arange(len(own)), own] = top
    return cut - chances


def _below(chances: np.ndarray) -> np.ndarray:
    """(n, size + 1) the chance of a lower level than each; 0 first and 1 last."""
    summed = np.cumsum(np.exp(chances), 1)
    return np.column_stack([np.zeros(len(summed)), summed[:, :-1], np.ones(len(summed))])


def moved(
    equations: dict[str, Equation],
    noise: dict[str, np.ndarray],
    rows: Table,
    switched: frozenset[str],
    schema: Schema,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The rows' columns where the attribute is the other one for the columns ``switched``; and which numbers had to be kept
    within the range that the data have."""
    x, beyond = rows.x.astype(np.float64), {}
    for name, equation in equations.items():
        a = 1 - rows.a if name in switched else rows.a
        if equation.levels is not None:
            level = (noise[name][:, None] > _below(equation.chances(x, a))[:, 1:]).sum(1)
            stays = level == equation.code(rows.x)
            x[:, equation.column] = np.where(stays, rows.x[:, equation.column], equation.levels[1][level])
            continue
        if equation.size:
            x[:, equation.column] = (equation.chances(x, a) + noise[name]).argmax(1)
            continue
        value = equation.mean(x, a) + noise[name]
        feature = schema.features[equation.column]
        low, high = (
            (-np.inf if feature.low is None else feature.low),
            (np.inf if feature.high is None else feature.high),
        )
        # what an equation says of a row as it is need not be what the row holds, where it lies outside the range itself
        low, high = np.minimum(low, rows.x[:, equation.column]), np.maximum(high, rows.x[:, equation.column])
        beyond[name] = (value < low - 1e-6) | (value > high + 1e-6)
        x[:, equation.column] = np.clip(value, low, high)
    return x.astype(rows.x.dtype), beyond


def explained(equation: Equation, rows: Table) -> float:
    """How much of a column its parents tell: of the variance of a number, of the deviance of categories."""
    observed = rows.x[:, equation.column]
    if not equation.size:
        spread = observed.var()
        return float(max(0.0, 1 - np.mean((observed - equation.mean(rows.x, rows.a)) ** 2) / spread)) if spread else 0.0
    own = equation.code(rows.x)
    marginal = np.bincount(own, minlength=equation.size) / len(own)
    deviance = -np.log(marginal[own]).sum()
    told = -equation.chances(rows.x, rows.a)[np.arange(len(own)), own].sum()
    return float(max(0.0, 1 - told / deviance)) if deviance else 0.0
