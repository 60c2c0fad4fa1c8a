"""What is uneven in the data themselves, before any model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

PerGroup = Annotated[np.ndarray, Dims("part", "group")]
PerFeature = Annotated[np.ndarray, Dims("part", "feature")]
Rates = Annotated[np.ndarray, Dims("part", "rate", "group")]
Spreads = Annotated[np.ndarray, Dims("part", "rate", "feature")]


@dataclass(frozen=True, kw_only=True)
class DataBias(Record):
    """Who is in the data, and what their labels, gaps and copies look like by group. Intervals are at 95 %.

    A *part* is the training or the test data, or the one split that was given. A *rate* is something that a person has or
    has not: a class as label, a missing value, the same inputs as someone else in the part or as a training row, a text
    longer (an image brighter) than the training part's median. nan where a part cannot tell.

    Attributes:
        parts, rates, features: their names. labels: how many of the rates, the first ones, are of labels.
        group, feature_of: each group's name and the index of its feature ("sex & race" is an intersection).
        total: (part,) people. unknown: people whose group is not known.
        n, share, share_low, share_high: people of each group, and their share of those whose group is known (Wilson).
        reference: the share that the caller holds the data against, nan where none was given; reference_p: how often
            samples of this size from it are as far away (chi-square, Monte Carlo).
        people_needed: how many of a group tell any rate to +-5 points (exact interval, worst case).
        value, low, high, hits: each rate by group (Wilson), and the people who have it.
        ranked: whether the group has enough people to be compared.
        difference, difference_low, difference_high: of the highest and the lowest ranked group, the interval allowing for
            having picked them. highest, lowest: which groups; -1 where fewer than two are ranked.
        null95: what groups made at random exceed in 5 % of permutations. p, p_holm: how often they have a pair as far
            apart beside its precision (exact for two groups), and the same corrected for all rates, features and parts.
        within: the legitimate factor; "" without one. adjusted: (part, group) the rate of the last label standardised to
            everybody's shares of that factor; adjusted_difference, with interval, null95 and p as above, people changing
            groups within its levels. covered: the share of people in levels where all ranked groups have people.
        shift_p: (feature,) how often two samples of these sizes from one source have group shares as unlike as the two
            parts (chi-square, Monte Carlo); shift_share: the total variation distance of the shares. nan with one part.
        moved, moved_low, moved_high, moved_p: (rate, group) the test part's rate less the training part's, Newcombe's
            interval, and p (Fisher, Holm over rates and groups). nan for copies, of which more rows have more.
    """

    parts: tuple[str, ...]
    rates: tuple[str, ...]
    features: tuple[str, ...]
    labels: int
    group: Annotated[np.ndarray, Dims("group")]
    feature_of: Annotated[np.ndarray, Dims("group")]
    total: Annotated[np.ndarray, Dims("part")]
    replicates: int
    least: int
    people_needed: int
    n: PerGroup
    unknown: PerFeature
    share: PerGroup
    share_low: PerGroup
    share_high: PerGroup
    reference: Annotated[np.ndarray, Dims("group")]
    reference_p: PerFeature
    value: Rates
    low: Rates
    high: Rates
    hits: Rates
    ranked: PerGroup
    difference: Spreads
    difference_low: Spreads
    difference_high: Spreads
    highest: Spreads
    lowest: Spreads
    null95: Spreads
    p: Spreads
    p_holm: Spreads
    within: str
    adjusted: PerGroup
    adjusted_difference: PerFeature
    adjusted_low: PerFeature
    adjusted_high: PerFeature
    adjusted_null95: PerFeature
    adjusted_p: PerFeature
    covered: PerFeature
    shift_p: Annotated[np.ndarray, Dims("feature")]
    shift_share: Annotated[np.ndarray, Dims("feature")]
    moved: Annotated[np.ndarray, Dims("rate", "group")]
    moved_low: Annotated[np.ndarray, Dims("rate", "group")]
    moved_high: Annotated[np.ndarray, Dims("rate", "group")]
    moved_p: Annotated[np.ndarray, Dims("rate", "group")]

    def groups_of(self, feature: int) -> np.ndarray:
        """The indices of one feature's groups."""
        return np.flatnonzero(self.feature_of == feature)
