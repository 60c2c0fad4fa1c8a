"""A rate by group among people who are alike in factors that may count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

PerGroup = Annotated[np.ndarray, Dims("group")]
PerCell = Annotated[np.ndarray, Dims("group", "stratum")]


@dataclass(frozen=True, kw_only=True)
class ConditionalParity(Record):
    """A proportion of each group against that of a reference group, over everybody (*crude*) and within strata of the
    factors (*adjusted*, Mantel and Haenszel's). Differences are group minus reference; the reference's own are nan.
    Intervals are at 95 %, and nan stands where nothing is known.

    Attributes:
        metric, positive, feature: what was measured, for which class, by which sensitive feature.
        given: the factors; stratum: each combination of their values that somebody has.
        unknown: people whose group or factors are not known; they count nowhere.
        group, reference: names, and the index of the one compared with.
        n, hits, of: people, and the counts behind each rate. rate, rate_low, rate_high: crude.
        ranked: whether the group is compared: ``least`` people of whom the metric speaks, in it and in the reference.
        crude, crude_low, crude_high: difference (Newcombe). crude_ratio, ...: ratio (log or score interval).
        adjusted, adjusted_low, adjusted_high: the common difference within strata (Sato's variance).
        adjusted_ratio, ...: the common ratio within strata (Greenland and Robins).
        null95: the adjusted difference that equal groups exceed in 5 % of permutations within strata.
        deviations: the adjusted difference in standard deviations under equality.
        p, p_family: how often hits dealt anew within strata lie as far from equality, in this group, and in any group.
        p_homogeneity: the same for differences between strata, where one common difference is true.
        left_out: people of group and reference together in strata without anybody of the other of the two.
        cell_hits, cell_of: the counts behind each rate within a stratum. stratum_low, stratum_high: Newcombe's ends of
            ``stratum_difference``.
        association, association95: how much the strata tell of the group (Cramer's V, 0 to 1), and what independence
            exceeds in 5 % of permutations. Where it is large, the factors may carry the bias themselves.
    """

    metric: str
    positive: str
    feature: str
    given: tuple[str, ...]
    n_total: int
    unknown: int
    replicates: int
    least: int
    reference: int
    association: float
    association95: float
    stratum: Annotated[np.ndarray, Dims("stratum")]
    group: PerGroup
    n: PerGroup
    hits: PerGroup
    of: PerGroup
    rate: PerGroup
    rate_low: PerGroup
    rate_high: PerGroup
    ranked: PerGroup
    crude: PerGroup
    crude_low: PerGroup
    crude_high: PerGroup
    crude_ratio: PerGroup
    crude_ratio_low: PerGroup
    crude_ratio_high: PerGroup
    adjusted: PerGroup
    adjusted_low: PerGroup
    adjusted_high: PerGroup
    adjusted_ratio: PerGroup
    adjusted_ratio_low: PerGroup
    adjusted_ratio_high: PerGroup
    null95: PerGroup
    deviations: PerGroup
    p: PerGroup
    p_family: PerGroup
    p_homogeneity: PerGroup
    left_out: PerGroup
    cell_hits: PerCell
    cell_of: PerCell
    stratum_low: PerCell
    stratum_high: PerCell

    @property
    def stratum_difference(self) -> np.ndarray:
        """(group, stratum) rate minus the reference's within each stratum; nan where either has nobody."""
        rate = np.divide(self.cell_hits, self.cell_of, out=np.full(self.cell_of.shape, np.nan), where=self.cell_of > 0)
        found = rate - rate[self.reference]
        found[self.reference] = np.nan
        return found

    def apart(self, g: int) -> list[str]:
        """The strata that hold people of a group or of the reference, and nobody of the other of the two."""
        return self.stratum[(self.cell_of[g] > 0) != (self.cell_of[self.reference] > 0)].tolist()

    @property
    def surest(self) -> int:
        """The compared group whose adjusted difference is least like chance; -1 where none is compared."""
        known = np.where(self.ranked & ~np.isnan(self.deviations), np.abs(self.deviations), -1)
        return int(known.argmax()) if known.max() >= 0 else -1
