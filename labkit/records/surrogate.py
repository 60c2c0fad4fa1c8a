"""Surrogate: a small tree that answers like the model, and how far it can be taken for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record


@dataclass(frozen=True, kw_only=True)
class Surrogate(Record):
    """Decision trees fitted to a model's answers on training rows, judged on test rows. Intervals are at 95 %.

    Attributes:
        depths: of the trees. leaves: of each.
        agreement, agreement_low, agreement_high: the share of test rows on which each answers as the model does.
        majority: the same for always giving the model's most frequent answer.
        explained: the share of the variance of the model's probabilities that their means in the deepest tree's leaves
            explain; 1 is all.
        rules: of the deepest tree one a leaf, in words. answer: what it says. covers: test rows in it. agrees: of those,
            the rows on which the model says so.
        model_accuracy, tree_accuracy: on the test rows. difference, difference_low, difference_high: model minus tree.
        glass_box: the best of the models that anyone can read. gap, gap_low, gap_high: the model's accuracy minus its.
        n: test rows. n_train: training rows that the trees were fitted to.
    """

    depths: Annotated[np.ndarray, Dims("tree")]
    leaves: Annotated[np.ndarray, Dims("tree")]
    agreement: Annotated[np.ndarray, Dims("tree")]
    agreement_low: Annotated[np.ndarray, Dims("tree")]
    agreement_high: Annotated[np.ndarray, Dims("tree")]
    majority: float
    explained: float
    rules: tuple[str, ...]
    answer: tuple[str, ...]
    covers: Annotated[np.ndarray, Dims("leaf")]
    agrees: Annotated[np.ndarray, Dims("leaf")]
    model_accuracy: float
    tree_accuracy: float
    difference: float
    difference_low: float
    difference_high: float
    glass_box: str
    gap: float
    gap_low: float
    gap_high: float
    n: int
    n_train: int
