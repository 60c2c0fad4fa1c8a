"""Whether explanations serve groups of people alike, and whether the model leans on the same columns in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

PerGroup = Annotated[np.ndarray, Dims("quality", "group")]
PerFeature = Annotated[np.ndarray, Dims("measure", "feature")]
PerColumn = Annotated[np.ndarray, Dims("group", "column")]
RELIANCE = "reliance"


@dataclass(frozen=True, kw_only=True)
class ExplanationDisparity(Record):
    """One method's attributions by group: how good they are, and which columns they name. Not measured is nan. Intervals
    are at 95 %.

    Attributes:
        model, method: their names. of: which number of the output is explained.
        qualities: faithfulness measures, each as how far a row's map is ahead of a random one (above 0 is better), and
            "entries used": in how many equal parts a map would be as spread out as it is.
        left_out: measures that do not apply, each with its reason.
        n_total: people explained. withheld: of each group the people whose map is withheld; they take no part.
        features: what people are grouped by. group, feature_of: each group's name and the index of its feature.
        n, unknown: people in each group; those of no known group, by feature. ranked: whether it has ``least`` people.
        of_group: people in whom a quality is defined. value, low, high: their mean, with Student's interval.
        measures: the qualities, and last, for tables, "reliance": half the sum of the absolute differences between two
            groups' mean shares of the columns, from 0 (alike) to 1.
        highest, lowest: the ranked groups furthest apart; -1 where fewer than two are ranked. Of "reliance" no order.
        difference, difference_low, difference_high: between them, with an interval that allows for having picked them.
            null95: what groups made at random exceed in 5 % of permutations.
        p, p_holm: how often groups at random have a pair as far apart beside its precision; and corrected for all
            measures and features.
        columns: of a table. share, share_low, share_high: each column's mean share of the attribution's size in a group.
        column_difference, column_p: the largest difference of a column's share between groups of a feature; how often
            groups at random have any column as far apart (so it is corrected for the number of columns).
        told: how much a column tells of the group, from 0 to 1.
        like_p: how often groups made at random among people with like values of a column have its attribution's size as
            far apart, corrected for all columns and features: what is told here is no difference of their values. nan
            where no value is shared by two groups, as of the group's own column.
    """

    model: str
    method: str
    of: str
    n_total: int
    replicates: int
    least: int
    qualities: tuple[str, ...]
    left_out: tuple[str, ...]
    features: tuple[str, ...]
    group: Annotated[np.ndarray, Dims("group")]
    feature_of: Annotated[np.ndarray, Dims("group")]
    n: Annotated[np.ndarray, Dims("group")]
    unknown: Annotated[np.ndarray, Dims("feature")]
    withheld: Annotated[np.ndarray, Dims("group")]
    ranked: Annotated[np.ndarray, Dims("group")]
    of_group: PerGroup
    value: PerGroup
    low: PerGroup
    high: PerGroup
    measures: tuple[str, ...]
    highest: PerFeature
    lowest: PerFeature
    difference: PerFeature
    difference_low: PerFeature
    difference_high: PerFeature
    null95: PerFeature
    p: PerFeature
    p_holm: PerFeature
    columns: tuple[str, ...]
    share: PerColumn
    share_low: PerColumn
    share_high: PerColumn
    column_difference: Annotated[np.ndarray, Dims("feature", "column")]
    column_p: Annotated[np.ndarray, Dims("feature", "column")]
    told: Annotated[np.ndarray, Dims("feature", "column")]
    like_p: Annotated[np.ndarray, Dims("feature", "column")]

    def otherwise(self, feature: int, alpha: float = 0.05) -> tuple[str, ...]:
        """The columns that count otherwise in one group among people with like values of them, surest first."""
        p = self.like_p[feature]
        order = [int(c) for c in np.argsort(p, kind="stable") if p[c] < alpha]
        return tuple(self.columns[c] for c in order)
