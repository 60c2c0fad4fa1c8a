"""What remedies for a disparity give, what they cost, and who pays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record
from labkit.core.refused import unknown

PerPoint = Annotated[np.ndarray, Dims("point")]
PerGroup = Annotated[np.ndarray, Dims("point", "group")]
PerRate = Annotated[np.ndarray, Dims("point", "rate", "group")]


@dataclass(frozen=True, kw_only=True)
class Mitigation(Record):
    """One point a method and strength, beside what is in use. Intervals are at 95 %; all but ``chosen_*`` is stated on
    people whom nothing was fitted to and nothing chosen by. Counts are expected ones where a rule draws lots.

    Attributes:
        positive, feature, criterion: the class that counts as positive, whose groups, and the rate that should differ less
            between them. ``between``: the rates that it is made of, two for equalized odds, of which the larger difference
            counts.
        learner: what pre- and in-processing methods train.
        tolerance: how much less accurate than the reference an alternative may be.
        n_learn, n_rule, n_choose, n: people to train on, to fit rules on, to choose among the points, to state them.
        group, n_group, positives: the groups, their people among the n, and those whose true class is the positive one.
        ranked: whether a group has enough people to be compared; the others are shown.
        method, strength, stage: of each point; the stage is "none", "before", "within" or "after" training.
        reference: the point in use, against which changes and costs count: the model, or the learner without any method.
        reads: what of the group a decision reads: "the group", "a column" of the inputs that gives it away, "nothing", or
            "unknown" where the inputs are not known.
        lots: how large a share of people would be answered otherwise if the lots were drawn again; 0 without lots.
        accuracy, balanced_accuracy, auc: with intervals; the AUC nan where an answer is no probability.
        cost, cost_low, cost_high: accuracy that the reference has more, on the same people.
        disparity, disparity_low, disparity_high: the largest difference between ranked groups. ``null95``: what equal groups of
            these sizes exceed in 5 % of permutations; ``p``: how often they differ so much.
        gain, gain_low, gain_high: disparity that the reference has more, on the same people.
        rates: the names of the rates, and ``rate``, ``rate_low``, ``rate_high``, ``rate_of``: their values, and of how many.
        selected, deselected: people whose answer turns to the positive class, or from it, against the reference;
            ``selected_right``, ``deselected_right``: those of them for whom the new answer is right about the positive class.
        chosen_accuracy, chosen_disparity: on the people to choose by; there are ``front`` (no other point is at least as good in
            both) and ``affordable`` (with one standard error to spare within the tolerance of the reference) told.
        least: the affordable point with the least disparity on the people to choose by; the reference where none has less.
        least_blind: the same among points that read not the group and draw no lots.
        left_out, why: methods that did not fit, and why not.
        person, decision: the people stated on, as rows of the data, and their answers under ``least``, lots drawn from the
            seed.
    """

    positive: str
    feature: str
    criterion: str
    between: tuple[str, ...]
    learner: str
    tolerance: float
    n_learn: int
    n_rule: int
    n_choose: int
    n: int
    group: Annotated[np.ndarray, Dims("group")]
    n_group: Annotated[np.ndarray, Dims("group")]
    positives: Annotated[np.ndarray, Dims("group")]
    ranked: Annotated[np.ndarray, Dims("group")]
    method: Annotated[np.ndarray, Dims("point")]
    stage: Annotated[np.ndarray, Dims("point")]
    strength: PerPoint
    reads: Annotated[np.ndarray, Dims("point")]
    reference: int
    lots: PerPoint
    accuracy: PerPoint
    accuracy_low: PerPoint
    accuracy_high: PerPoint
    balanced_accuracy: PerPoint
    balanced_accuracy_low: PerPoint
    balanced_accuracy_high: PerPoint
    auc: PerPoint
    auc_low: PerPoint
    auc_high: PerPoint
    cost: PerPoint
    cost_low: PerPoint
    cost_high: PerPoint
    disparity: PerPoint
    disparity_low: PerPoint
    disparity_high: PerPoint
    null95: PerPoint
    p: PerPoint
    gain: PerPoint
    gain_low: PerPoint
    gain_high: PerPoint
    rates: tuple[str, ...]
    rate: PerRate
    rate_low: PerRate
    rate_high: PerRate
    rate_of: PerRate
    selected: PerGroup
    selected_right: PerGroup
    deselected: PerGroup
    deselected_right: PerGroup
    chosen_accuracy: PerPoint
    chosen_disparity: PerPoint
    affordable: PerPoint
    front: PerPoint
    least: int
    least_blind: int
    left_out: tuple[str, ...]
    why: tuple[str, ...]
    person: Annotated[np.ndarray, Dims("person")]
    decision: Annotated[np.ndarray, Dims("person")]

    @property
    def found(self) -> bool:
        """Whether any affordable point had less disparity than the reference on the people to choose by."""
        return self.least != self.reference

    @property
    def alike(self) -> np.ndarray:
        """(point,) other affordable points whose interval of the disparity overlaps that of ``least``."""
        overlap = (self.disparity_low <= self.disparity_high[self.least]) & (
            self.disparity_low[self.least] <= self.disparity_high
        )
        return overlap & self.affordable & (np.arange(len(self.method)) != self.least)

    @property
    def why_none(self) -> str:
        """Why no method at all could be tried: the reason of most; "" where some were."""
        if (self.stage != "none").any():
            return ""
        return max(self.why, key=self.why.count, default="none was asked for")

    def named(self, point: int) -> str:
        """A point in words: "reweighing at 0.6"."""
        name = str(self.method[point]).replace("_", " ")
        return name if self.stage[point] == "none" else f"{name} at {self.strength[point]:g}"

    def points_of(self, method: str) -> np.ndarray:
        """The points of one method. Raises Refused for one that has none."""
        if method not in self.method:
            raise unknown("a method of this record", method, map(str, dict.fromkeys(self.method)))
        return np.flatnonzero(self.method == method)
