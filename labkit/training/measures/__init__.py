"""What a reference model is measured by on its card: accuracy and area under the curve here, one file for each other."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import labkit as lk
from labkit.core.intervals import delong, wilson
from labkit.data.split import Dataset

if TYPE_CHECKING:
    from labkit.training.recipe import Recipe


class Score(NamedTuple):
    """One number of a card.

    Attributes:
        name: what it is, in words that follow the model's name, with its unit or its budget.
        value, low, high: the number and its 95 % interval; nan ends where there is no interval.
        n: examples it was measured on.
        interval: which interval, and over what.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    interval: str


# (model, data as the recipe's loader gives them, recipe) -> Score. The model is a Classifier or a Generative.
Measure = Callable[[Any, Dataset, "Recipe"], Score]


@dataclass(frozen=True)
class Goal:
    """A measure, and what it must reach before the model may ship.

    Attributes:
        measure: a function of (model, data, recipe) that returns a Score.
        floor: the least value; None asks nothing.
        ceiling: the greatest value; None asks nothing.
        once: measured for the shipped seed only, because it takes long.
    """

    measure: Measure
    floor: float | None = None
    ceiling: float | None = None
    once: bool = False

    def met(self, value: float) -> bool:
        """Whether the value is a number within floor and ceiling."""
        low = -math.inf if self.floor is None else self.floor
        high = math.inf if self.ceiling is None else self.ceiling
        return not math.isnan(value) and low <= value <= high


def accuracy(model: Any, data: Dataset, recipe: Recipe) -> Score:
    """Share of the test examples whose class is the model's first choice."""
    p = lk.predict(model, data.test)
    return share("accuracy", p.label == p.y)


def auc(model: Any, data: Dataset, recipe: Recipe) -> Score:
    """Area under the receiver operating characteristic of class 1 on the test examples."""
    p = lk.predict(model, data.test)
    assert p.proba is not None
    return Score("AUC", *delong(p.y, p.proba[:, 1]), len(p), "95 %, DeLong, over test examples")


def share(name: str, hits: Any, interval: str = "95 %, Wilson, over test examples") -> Score:
    """The share of true entries, with Wilson's interval; not a number without any entry."""
    count, n = int(hits.sum()), len(hits)
    if not n:
        return Score(name, math.nan, math.nan, math.nan, 0, interval)
    low, high = wilson(count, n)
    return Score(name, count / n, float(low), float(high), n, interval)
