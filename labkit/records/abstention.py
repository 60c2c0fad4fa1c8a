"""What a model gets wrong when it may decline to answer where it is least confident."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.intervals import Ends, wilson
from labkit.core.record import Dims, Record

Points = Annotated[np.ndarray, Dims("point")]
Kept = Annotated[np.ndarray, Dims("coverage")]
Wanted = Annotated[np.ndarray, Dims("wanted")]
Estimate = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Abstention(Record):
    """Rows taken in the order of the model's confidence, rows of one confidence together. Intervals are at 95 %.

    *Coverage* is the share of rows that are answered, *risk* the share of errors among them.

    Attributes:
        n, errors: rows, and how many of them are wrong when all are answered.
        threshold, kept, wrong: the curve: at each confidence from the highest down, rows at least as confident, and how
            many of them are wrong. For more than 200 confidences, some of them.
        random_low, random_high: where 95 % of the risks lie if confidence says nothing about errors.
        aurc: area under the curve, the mean risk over all coverages, with its interval; 0 is best.
        best: the area if all errors came last. excess: ``aurc - best``, with its interval.
        random, random05: the area if confidence says nothing, and what it falls short of in 5 % of permutations.
        p: how often an order at random has an area as small.
        wanted: risks that the user would accept. ``least_confidence``: answer where the confidence is above it (or
            always, where it is below 0); nan where no such rule could be shown to keep the risk.
        coverage, risk, risk_bound: of that rule: the share of these rows answered, errors among them, and the risk that
            it stays under on new rows from the same source, wrong for at most ``delta`` of such data sets.
        asked: coverages of all rows at which groups are looked at. ``answered``, ``mistaken``: (group, coverage) rows of
            each group that are answered then, and how many of them are wrong.
        features, group, feature_of, size: sensitive features, each group's name, the index of its feature, its rows.
    """

    n: int
    errors: int
    replicates: int
    threshold: Points
    kept: Points
    wrong: Points
    random_low: Points
    random_high: Points
    aurc: Estimate
    best: float
    excess: Estimate
    random: float
    random05: float
    p: float
    delta: float
    wanted: Wanted
    least_confidence: Wanted
    coverage: Wanted
    risk: Wanted
    risk_bound: Wanted
    asked: Kept
    features: tuple[str, ...]
    group: Annotated[np.ndarray, Dims("group")]
    feature_of: Annotated[np.ndarray, Dims("group")]
    size: Annotated[np.ndarray, Dims("group")]
    answered: Annotated[np.ndarray, Dims("group", "coverage")]
    mistaken: Annotated[np.ndarray, Dims("group", "coverage")]

    @property
    def error(self) -> float:
        """The risk when all rows are answered."""
        return self.errors / self.n

    @property
    def gain(self) -> float:
        """How much of what the best order gains over a random one this order does: 1 is best, 0 is chance."""
        possible = self.random - self.best
        return (self.random - self.aurc[0]) / possible if possible > 0 else float("nan")

    def interval(self) -> Ends:
        """(point,) ends of Wilson's interval for the risk at each point of the curve."""
        return wilson(self.wrong, self.kept)

    def by_group(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(group, coverage) the share of each group that is answered, its risk, and the ends of the risk's interval; nan
        where no row is answered."""
        known = self.answered > 0
        risk = np.divide(self.mistaken, self.answered, out=np.full(known.shape, np.nan), where=known)
        return self.answered / self.size[:, None], risk, *wilson(self.mistaken, self.answered)

    def answered_interval(self) -> Ends:
        """(group, coverage) ends of Wilson's interval for the share of each group that is answered."""
        return wilson(self.answered, self.size[:, None])
