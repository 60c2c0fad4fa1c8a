"""Which training rows are remembered, and not learned from the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

Rows = Annotated[np.ndarray, Dims("row")]
Pairs = Annotated[np.ndarray, Dims("pair")]
Shown = Annotated[np.ndarray, Dims("shown")]
Levels = Annotated[np.ndarray, Dims("level")]
Ranks = Annotated[np.ndarray, Dims("rank")]


@dataclass(frozen=True, kw_only=True)
class Memorization(Record):
    """Memorisation of training rows and their influence on test rows, from models trained on random parts of the rows; and
    what one model remembered. Intervals are at 95 %.

    Memorisation of a row is how often models that saw it give it its label, less how often models that did not see it do: 0
    where the others tell as much, 1 where it is known by heart alone. It is no label error: a rare and rightly labelled
    row has to be remembered too.

    Attributes:
        learner, about: what was trained, by name and in words. models: how many. share: of the rows that each saw.
        classes: class names.
        row: positions of the rows in the training data. label: their given labels. n_test: test rows.
        right_inside, inside: models that saw a row and give its label; that saw it. right_outside, outside: those that
            did not see it.
        answer: the answer of most models that did not see a row.
        value, low, high: memorisation of each row, Newcombe. raised: by how much the mean log odds of its label are higher
            in models that saw it.
        mean: (value, low, high) over the rows: how much more often models are right on rows that they saw.
        chance: what the largest of all rows' values exceeds in 5 % of draws in which seeing a row changes nothing.
        level: values from 0 to 1; rows_at: how many rows have at least so much; chance_at: how many on average by chance.
        rank: ranks at which band_low and band_high say where 95 % of the ranked values lie by chance.
        influence_train, influence_test: the pairs of training and test rows with the largest influence: how much more
            often models that saw the one are right on the other; positions in the data. influence, influence_low,
            influence_high: Newcombe, uncorrected. influence_chance: what the largest of all pairs' exceeds by chance in
            5 % of draws. influence_pairs: how many lie above it; pairs: how many were searched.
        model: the audited model's name; "" without one.
        gives_label: whether it gives each training row its label.
        hard: training rows to which most models that did not see them give another label; hard_test: such test rows.
        given_back, given_back_test: how many of them the model answers with their label all the same.
        remembered: (value, low, high) the share given back in training less that in test, where nothing can be
            remembered, Newcombe.
        shown: positions among ``row`` of the most memorised rows, the most first, that are shown.
        pictures, texts: what they look like.
    """

    learner: str
    about: str
    models: int
    share: float
    classes: tuple[str, ...]
    row: Rows
    label: Rows
    n_test: int
    right_inside: Rows
    inside: Rows
    right_outside: Rows
    outside: Rows
    answer: Rows
    value: Rows
    low: Rows
    high: Rows
    raised: Rows
    mean: tuple[float, float, float]
    chance: float
    level: Levels
    rows_at: Levels
    chance_at: Levels
    rank: Ranks
    band_low: Ranks
    band_high: Ranks
    influence_train: Pairs
    influence_test: Pairs
    influence: Pairs
    influence_low: Pairs
    influence_high: Pairs
    influence_chance: float
    influence_pairs: int
    pairs: int
    model: str
    gives_label: Rows | None
    hard: int
    hard_test: int
    given_back: int
    given_back_test: int
    remembered: tuple[float, float, float]
    shown: Shown
    pictures: Annotated[np.ndarray, Dims("shown", "...")] | None = None
    texts: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.row)

    @property
    def ranked(self) -> np.ndarray:
        """Positions among ``row``, the most memorised first; among equals the one whose log odds are raised more."""
        return np.lexsort((-self.raised, -self.value))

    @property
    def above(self) -> int:
        """How many rows are memorised more than the largest that chance shows."""
        return int((self.value > self.chance).sum())
