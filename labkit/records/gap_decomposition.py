"""A gap between two groups, shared out over the columns that make it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record


@dataclass(frozen=True, kw_only=True)
class GapDecomposition(Record):
    """The difference of a model's mean answer between two groups, and each feature's share of it. Intervals are at 95 %.

    Attributes:
        attribute: the sensitive feature. groups: the two groups; every difference is the first minus the second.
        of: "score" (the positive class's probability), "selection_rate" (the share answered positive) or "log_odds".
        positive: the class that counts as positive.
        n, mean: people of each group, and their mean answer.
        gap, gap_low, gap_high: the difference. gap_null95: what 95 of 100 random groups of these sizes stay below.
        gap_p: how likely random groups differ as much.
        features: a column each, or columns that count together; ``columns`` says how many.
        contribution, low, high: each feature's share of the gap; together they are the gap.
        null95: the size that each share stays below in 95 of 100 random groups.
        p: how likely the largest share of random groups is as sure as this one; holds for all features together.
        own: 1 where the feature is, or holds, a column of the attribute's name.
        pairs: people of the one group set beside people of the other. orders: of the columns, for each pair.
    """

    attribute: str
    groups: tuple[str, str]
    of: str
    positive: str
    n: Annotated[np.ndarray, Dims("group")]
    mean: Annotated[np.ndarray, Dims("group")]
    gap: float
    gap_low: float
    gap_high: float
    gap_null95: float
    gap_p: float
    features: tuple[str, ...]
    columns: Annotated[np.ndarray, Dims("feature")]
    contribution: Annotated[np.ndarray, Dims("feature")]
    low: Annotated[np.ndarray, Dims("feature")]
    high: Annotated[np.ndarray, Dims("feature")]
    null95: Annotated[np.ndarray, Dims("feature")]
    p: Annotated[np.ndarray, Dims("feature")]
    own: Annotated[np.ndarray, Dims("feature")]
    pairs: int
    orders: int

    @property
    def left(self) -> float:
        """What the shares leave of the gap: rounding, where they are as they should be."""
        return float(self.gap - self.contribution.sum())

    @property
    def order(self) -> np.ndarray:
        """The features, the one with the largest share first."""
        return np.argsort(-np.abs(self.contribution), kind="stable")

    @property
    def sure(self) -> np.ndarray:
        """(features,) whether a share is more than chance alone gives the largest of all."""
        return np.asarray(self.p < 0.05)
