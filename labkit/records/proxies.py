"""How well a sensitive feature can be told from the other inputs, and which of them tell it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

Told = Annotated[np.ndarray, Dims("part", "learner", "target")]
PerColumn = Annotated[np.ndarray, Dims("part", "column", "target")]
PerFeature = Annotated[np.ndarray, Dims("part", "feature", "target")]


@dataclass(frozen=True, kw_only=True)
class Proxies(Record):
    """The area under the ROC curve (AUC) with which people's group is told from their inputs, by learners that were
    fitted to other people of the same part (cross-fitting). 0.5 is guessing, 1 is certain. Intervals are at 95 %.

    A *target* is a group against all others; of two groups only the second, since the first is its mirror.

    Attributes:
        sensitive: the feature that is told. groups: its groups; targets: those that are told from the rest.
        parts, learners: "train", "test" or the one split; and what was fitted.
        columns, features: the table's columns, and those taken together for importance; none where the inputs are
            no table or a layer's output ("layer") is read.
        n, n_fit: (part,) people, and those that learners were fitted and judged on. count: (part, target) of the target.
        auc, low, high: DeLong's interval.
        null_mean, null95: the same procedure where people (distinct inputs) change groups at random: its mean, and what it
            exceeds in 5 % (normal, from the permutations and the rank test's own spread).
        memorized: the AUC of those learners on the people that they were fitted to: what they can learn by heart. ``auc``
            minus ``null_mean`` is the selectivity of Hewitt and Liang (2019, arXiv 1909.03368).
        p, p_holm: how often chance does as well; corrected for parts, learners and targets.
        tells: (column,) "the attribute" (or one of its parts), "determines it" (each of its values goes with one group), or
            "". Such columns are named and kept from the learners.
        column_auc, column_low, column_high: of each column alone, in at most ten levels, cross-fitted; DeLong's interval.
        column_p, column_p_holm: (part, column) chi-square of levels and groups; corrected for columns and parts.
        importance, importance_low, importance_high: how much AUC the boosted trees lose when the feature's values are
            dealt at random; DeLong's interval for two scores of the same people. Columns that say the same share theirs.
        importance_p: one-sided, Holm over features, parts and targets.
    """

    sensitive: str
    groups: tuple[str, ...]
    targets: tuple[str, ...]
    parts: tuple[str, ...]
    learners: tuple[str, ...]
    columns: tuple[str, ...]
    features: tuple[str, ...]
    layer: str
    folds: int
    permutations: int
    n: Annotated[np.ndarray, Dims("part")]
    n_fit: Annotated[np.ndarray, Dims("part")]
    count: Annotated[np.ndarray, Dims("part", "target")]
    auc: Told
    low: Told
    high: Told
    null_mean: Told
    null95: Told
    memorized: Told
    p: Told
    p_holm: Told
    tells: Annotated[np.ndarray, Dims("column")]
    column_auc: PerColumn
    column_low: PerColumn
    column_high: PerColumn
    column_p: Annotated[np.ndarray, Dims("part", "column")]
    column_p_holm: Annotated[np.ndarray, Dims("part", "column")]
    importance: PerFeature
    importance_low: PerFeature
    importance_high: PerFeature
    importance_p: PerFeature

    @property
    def selectivity(self) -> np.ndarray:
        """(part, learner, target) how much better the group is told than groups at random are."""
        return self.auc - self.null_mean
