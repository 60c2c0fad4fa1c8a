"""Ways in which the answers to the test data may already be in the training data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

COPIES, NEAR, WITHIN = "exact copies", "near copies", "copies within training"
IDS, TIME, SINGLE = "shared ids", "time order", "label in one column"
MISSING, ORDER, APART = "label in what is missing", "label in the row order", "parts told apart by one column"
# Of these kinds the value is a share of rows; of the others an area under the ROC curve.
SHARES = (COPIES, NEAR, WITHIN, IDS, TIME)

PerFinding = Annotated[np.ndarray, Dims("finding")]
PerPair = Annotated[np.ndarray, Dims("pair")]


@dataclass(frozen=True, kw_only=True)
class Leakage(Record):
    """One row a kind of leak and subject. Intervals are at 95 %, exact for shares, DeLong's for areas.

    Attributes:
        n_train, n_test: rows of the two parts.
        leak, subject: the kind (one of this module's names), and the column or what else it is about.
        hits, of: rows that show it, among those looked at.
        value, low, high: the share of rows, or the area under the ROC curve of what one column tells by itself: the
            label (of the class that it tells worst), or which part a row is of; nan where not measured.
        usual: what a clean split shows: the share of training rows that have a twin there, or nearly one; an area of 0.5.
        p: how likely a clean split shows as much, corrected for all columns looked at: copies by rows dealt anew and by
            coincidence; near copies by a smooth fall of distances (Poisson) and by those among training rows (Fisher);
            columns against an area of 0.95 (label) or 0.5 (parts).
        note: what else is to be said; ``missing``: why it was not measured, "" where it was.
        about: what near copies are compared by. usual_distance: the median between a training row and its nearest.
        pairs: the first copies and near copies, as numbers of the training and the test row, and their distance.
        pair_label: the labels of both. classes: their names.
        pictures, texts: of those pairs, where the caller asked (training row first).
        accuracy: (value, low, high) of the predictions on all test rows, on those without a copy, and on the copies;
            nan without predictions. cost: accuracy on the copies less that on the others, Newcombe.
    """

    n_train: int
    n_test: int
    leak: tuple[str, ...]
    subject: tuple[str, ...]
    hits: PerFinding
    of: PerFinding
    value: PerFinding
    low: PerFinding
    high: PerFinding
    usual: PerFinding
    p: PerFinding
    note: tuple[str, ...]
    missing: tuple[str, ...]
    about: str
    usual_distance: float
    classes: tuple[str, ...]
    pairs: Annotated[np.ndarray, Dims("pair", "side")]
    pair_distance: PerPair
    pair_label: Annotated[np.ndarray, Dims("pair", "side")]
    pictures: Annotated[np.ndarray, Dims("shown", "side", "...")] | None = None
    texts: tuple[tuple[str, ...], ...] = ()
    accuracy: Annotated[np.ndarray, Dims("rows", "end")]
    cost: tuple[float, float, float]
