"""Whether alike people get alike answers, and how unevenly benefits are spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

PerIndex = Annotated[np.ndarray, Dims("index")]
PerFeature = Annotated[np.ndarray, Dims("index", "feature")]


@dataclass(frozen=True, kw_only=True)
class IndividualFairness(Record):
    """Consistency of answers among neighbours, and inequality of benefits between and within groups. Intervals are at
    95 %; what was not asked for or cannot be told is nan.

    Attributes:
        n: people. k: neighbours of each; asked: people whose neighbours were looked up (0 without inputs).
        space: what inputs are compared by. left_out: columns that are a sensitive feature, or determine it.
        consistency, low, high: the mean share of a person's neighbours with the same answer (Zemel and others, 2013), with
            a bootstrap of people. Higher is better. It is that of so many people: among more, neighbours are nearer.
        null_mean, null95: the consistency of the same answers dealt at random, and what that exceeds in 5 %.
        p: how often answers at random are as consistent: 1 in so many that they ignore the inputs.
        group, feature_of, count: groups, the index of each one's feature, and people.
        group_consistency, group_low, group_high: of the people of a group who were asked (group_asked), among all
            neighbours.
        positive: the class that is the benefit. features: sensitive features.
        benefits: (group, benefit) people with 0 (denied wrongly), 1 (answered right) and 2 (given wrongly) of it:
            b = answer - truth + 1 (Speicher and others, 2018, arXiv 1807.00787). overall: the same of everybody.
        indices: "generalised entropy index" (alpha 2) and "Theil index" (alpha 1); 0 is equal benefits, and so is a
            model without error. Lower is better.
        index, index_low, index_high: their values.
        constant: the index when everybody gets the one answer that makes it smallest.
        between, between_low, between_high, within, within_low, within_high: the index of people whose group is known, taken
            apart into what is between the groups of a feature and what is within them; their sum is the whole.
        between_null95, between_p: what groups made at random exceed in 5 %, and how often they are as far apart.
    """

    n: int
    k: int
    asked: int
    space: str
    left_out: tuple[str, ...]
    replicates: int
    consistency: float
    low: float
    high: float
    null_mean: float
    null95: float
    p: float
    features: tuple[str, ...]
    group: Annotated[np.ndarray, Dims("group")]
    feature_of: Annotated[np.ndarray, Dims("group")]
    count: Annotated[np.ndarray, Dims("group")]
    group_asked: Annotated[np.ndarray, Dims("group")]
    group_consistency: Annotated[np.ndarray, Dims("group")]
    group_low: Annotated[np.ndarray, Dims("group")]
    group_high: Annotated[np.ndarray, Dims("group")]
    positive: str
    benefits: Annotated[np.ndarray, Dims("group", "benefit")]
    overall: Annotated[np.ndarray, Dims("benefit")]
    indices: tuple[str, ...]
    index: PerIndex
    index_low: PerIndex
    index_high: PerIndex
    constant: PerIndex
    between: PerFeature
    between_low: PerFeature
    between_high: PerFeature
    within: PerFeature
    within_low: PerFeature
    within_high: PerFeature
    between_null95: PerFeature
    between_p: PerFeature
