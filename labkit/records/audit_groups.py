"""What a model does to groups of people, with what chance alone would do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record
from labkit.core.refused import unknown

PerGroup = Annotated[np.ndarray, Dims("metric", "group")]
PerFeature = Annotated[np.ndarray, Dims("metric", "feature")]


@dataclass(frozen=True, kw_only=True)
class GroupAudit(Record):
    """Metrics by group, and the differences between groups beside what equal groups would show.

    A *group* is one value of one sensitive feature, or one combination of an intersection. Not measured is nan, and
    ``why`` says why. Intervals are at 95 %.

    Attributes:
        positive: the class that counts as positive.
        metrics, features: what was measured and over which sensitive features ("sex & race" is an intersection).
        group, feature_of: each group's name and the index of its feature.
        of_interest: the difference for which ``needed`` is told.
        better: 1 where a higher value is better, -1 where a lower one is, 0 where neither.
        n, positives: people in the group, and those of them whose true class is the positive one (-1 where the truth is
            not known or no one class is positive).
        unknown: people whose group is not known; they count in ``overall`` alone.
        value, low, high: the metric in each group and its interval.
        hits, of: the counts behind a proportion; nan for other metrics.
        why: why a value was not measured; "" where it was.
        ranked: whether the group is large enough to be compared (``least`` people, ``least_of`` of the class in
            question). The others are shown, not ranked.
        detectable: the least difference from the other ranked people that a test of so many would find (power 0.8 at
            5 %); nan where none would be.
        ratio, ratio_low, ratio_high: the group's value over the highest ranked one, with its interval.
        overall, overall_low, overall_high: the metric over everybody.
        highest, lowest: the ranked groups with the highest and lowest value; -1 where fewer than two are ranked.
        difference, difference_low, difference_high: highest minus lowest, with an interval that allows for having
            picked them. ``corrected`` is the difference less its bootstrap estimate of bias.
        null95, null99: the difference that equal groups of these sizes exceed in 5 % and 1 % of permutations.
        surest_high, surest_low: the two groups whose difference is largest beside its own standard error. It need not be
            the largest difference, which is often that of a small group.
        p, p_holm: how often equal groups have a pair at least as far apart, in standard errors; and the same corrected
            for all metrics and features. Exact for two groups of a proportion.
        p_bh: p corrected by Benjamini and Hochberg: of those below 0.05, one in 20 is false on average.
        worst, worst_low, worst_high: the ranked group with the worst value, -1 where neither direction is better, and
            an interval for the worst value that allows for having picked the group.
        needed: people in each of two equal groups that it takes to find a difference ``of_interest``.
        least_ratio, null_ratio05: lowest over highest, and the ratio below which equal groups fall in 5 %.
        perfect: the difference that a model without any error would show, from unequal base rates alone.
    """

    positive: str
    metrics: tuple[str, ...]
    features: tuple[str, ...]
    n_total: int
    replicates: int
    least: int
    least_of: int
    of_interest: float
    better: Annotated[np.ndarray, Dims("metric")]
    group: Annotated[np.ndarray, Dims("group")]
    feature_of: Annotated[np.ndarray, Dims("group")]
    n: Annotated[np.ndarray, Dims("group")]
    positives: Annotated[np.ndarray, Dims("group")]
    unknown: Annotated[np.ndarray, Dims("feature")]
    value: PerGroup
    low: PerGroup
    high: PerGroup
    hits: PerGroup
    of: PerGroup
    why: PerGroup
    ranked: PerGroup
    detectable: PerGroup
    ratio: PerGroup
    ratio_low: PerGroup
    ratio_high: PerGroup
    overall: Annotated[np.ndarray, Dims("metric")]
    overall_low: Annotated[np.ndarray, Dims("metric")]
    overall_high: Annotated[np.ndarray, Dims("metric")]
    highest: PerFeature
    lowest: PerFeature
    surest_high: PerFeature
    surest_low: PerFeature
    difference: PerFeature
    difference_low: PerFeature
    difference_high: PerFeature
    corrected: PerFeature
    null95: PerFeature
    null99: PerFeature
    p: PerFeature
    p_holm: PerFeature
    p_bh: PerFeature
    worst: PerFeature
    worst_low: PerFeature
    worst_high: PerFeature
    needed: PerFeature
    least_ratio: PerFeature
    null_ratio05: PerFeature
    perfect: PerFeature

    @property
    def base_rate(self) -> np.ndarray:
        """(group,) share of people whose true class is the positive one; nan in an empty group, or without one named."""
        known = (self.n > 0) & (self.positives >= 0)
        return np.divide(self.positives, self.n, out=np.full(len(self.n), np.nan), where=known)

    def metric(self, name: str) -> int:
        """The index of a metric. Raises Refused for one that was not measured."""
        if name not in self.metrics:
            raise unknown("a metric of this audit", name, self.metrics)
        return self.metrics.index(name)

    def groups_of(self, feature: str) -> np.ndarray:
        """The indices of one feature's groups. Raises Refused for an unknown feature."""
        if feature not in self.features:
            raise unknown("a feature of this audit", feature, self.features)
        return np.flatnonzero(self.feature_of == self.features.index(feature))
