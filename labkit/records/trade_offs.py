"""What can be equal between groups at once, and what each equality costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

PerGroup = Annotated[np.ndarray, Dims("group")]
PerEqual = Annotated[np.ndarray, Dims("equal")]
PerGap = Annotated[np.ndarray, Dims("equal", "metric")]


@dataclass(frozen=True, kw_only=True)
class TradeOffs(Record):
    """What gaps between groups remain when one rate, or two, are made equal. Intervals are at 95 %; nan stands where no
    thresholds, or no rates from 0 to 1, do it.

    Attributes:
        positive, feature: the class that counts as positive, and the sensitive feature.
        group, n, positives: the groups compared, their people, and those whose true class is the positive one.
        base_rate, base_low, base_high: the share of the latter (Wilson).
        base_difference, base_difference_low, base_difference_high: the largest between two groups.
        base_null95, base_p: what groups made at random exceed in 5 % of permutations, and how often they lie as far apart.
        left_out: groups that are too small to be compared. unknown: people whose group is not known.
        equal: what is made equal: "as given" and "one threshold" make nothing equal, a rate is made equal by thresholds
            of each group, "precision + true_positive_rate" by whatever answers, at the rates that all people have now.
        by_thresholds: whether a row comes from thresholds on these scores; by_algebra: or from the base rates alone.
        metrics: the rates that may differ.
        value: each rate of each group. gap, gap_low, gap_high: largest minus smallest, with an interval that allows for
            having picked the pair. null95: the gap that groups made at random exceed in 5 % of permutations.
        threshold: the lowest score that each group is taken at, in part; nan where nobody is, or no threshold was set.
        accuracy, accuracy_low, accuracy_high: over all compared people: the highest that the equality allows.
        cost, cost_low, cost_high: accuracy minus that of one threshold (of the answers as given, without scores); nan by
            algebra.
    """

    positive: str
    feature: str
    n_total: int
    unknown: int
    left_out: tuple[str, ...]
    replicates: int
    group: PerGroup
    n: PerGroup
    positives: PerGroup
    base_rate: PerGroup
    base_low: PerGroup
    base_high: PerGroup
    base_difference: float
    base_difference_low: float
    base_difference_high: float
    base_null95: float
    base_p: float
    equal: tuple[str, ...]
    by_thresholds: PerEqual
    by_algebra: PerEqual
    metrics: tuple[str, ...]
    value: Annotated[np.ndarray, Dims("equal", "metric", "group")]
    gap: PerGap
    gap_low: PerGap
    gap_high: PerGap
    null95: PerGap
    threshold: Annotated[np.ndarray, Dims("equal", "group")]
    accuracy: PerEqual
    accuracy_low: PerEqual
    accuracy_high: PerEqual
    cost: PerEqual
    cost_low: PerEqual
    cost_high: PerEqual

    @property
    def made_equal(self) -> np.ndarray:
        """(equal, metric) whether the row makes that rate equal."""
        return np.array([[m in name.split(" + ") for m in self.metrics] for name in self.equal]).reshape(self.gap.shape)
