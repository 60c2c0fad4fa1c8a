"""Labels that a learner which has not seen them doubts, and how far it can be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

Suspect = Annotated[np.ndarray, Dims("suspect")]
Ends = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class LabelErrors(Record):
    """Suspected labels by confident learning, the noise rate, and what the search finds of errors planted on purpose.
    (value, low, high) are at 95 %.

    Attributes:
        learner, about: what answered. folds: of the cross-fitting; 0 where probabilities were given.
        n: labels looked at. classes: their names. accuracy: share of labels that the learner gives, unseen.
        joint: counts of the label given and the class that the row confidently is; thresholds: each class's mean
            probability among the rows that are labelled so, from which on a row may be it.
        rate: the estimated share of wrong labels (1 less the trace of the calibrated joint); the interval is over rows.
            Ambiguous examples count as wrong.
        sure: the share of labels that differ from the answer among the tenth of rows that the learner is surest of, on
            ``n_sure`` rows (exact).
        floor: the share of labels that would differ from the answer however sure the learner were (``analyses._confident``:
            a lapse rate, profile interval): wrong labels do, hard examples do not.
        planted: labels made wrong on purpose, beside those that may be. recall: the share of them that is named then.
        precision: the share of the newly named that are planted ones, both exact. refitted: whether the learner was
            trained on the planted labels.
        expected: the share of the named that are wrong labels where errors are as frequent as the floor says and as
            easily found as those planted; its ends are those of both intervals together.
        row: numbers of the named, the most suspicious first. given, suggested: their label and the class suggested.
        margin: probability of the label given less that of the best other class, -1 to 1.
        pictures, texts: of the first ones, where asked for.
    """

    learner: str
    about: str
    folds: int
    n: int
    classes: tuple[str, ...]
    accuracy: Ends
    joint: Annotated[np.ndarray, Dims("class", "class")]
    thresholds: Annotated[np.ndarray, Dims("class")]
    rate: Ends
    sure: Ends
    n_sure: int
    floor: Ends
    planted: int
    recall: Ends
    precision: Ends
    refitted: bool
    expected: Ends
    row: Suspect
    given: Suspect
    suggested: Suspect
    margin: Suspect
    pictures: Annotated[np.ndarray, Dims("shown", "...")] | None = None
    texts: tuple[str, ...] = ()
