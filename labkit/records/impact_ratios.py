"""Selection or scoring rates by category, as New York City's Local Law 144 has them, and how sure they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

PerCategory = Annotated[np.ndarray, Dims("category")]
PerSet = Annotated[np.ndarray, Dims("set")]


@dataclass(frozen=True, kw_only=True)
class ImpactRatios(Record):
    """The tables of 6 RCNY 5-301, one a comparison set, and beside each ratio what EEOC practice looks at. A ratio is a
    category's rate over the *reference's*, the highest rate in its set. Not measured is nan, and ``why`` says why.
    Intervals are at 95 %.

    Attributes:
        outcome: "selection" or "scoring"; positive: the answer that counts as selected ("" of scores).
        median: of all scores in the sample; tied: people whose score is the median, who count as not above it.
        n_total: people in the sample. n_known: (set,) those whose category is known; unknown: the others, in no rate.
        sets, category, set_of: the comparison sets, each category's name and its set.
        n, hits: people, and those of them selected or above the median. rate, rate_low, rate_high: Wilson's interval.
        excluded: whether the category is left out of reference and ratios, for less than ``exclude`` of the people whose
            category is known; ``justification`` says why that was done. small: fewer than ``least`` people.
        reference: (set,) the category with the highest rate among those not excluded; -1 where there is none.
        ratio, ratio_low, ratio_high: by log interval, or score interval where counts are small. The reference was picked
            for its height, so that they are optimistic: ``null05`` says what picking alone does.
        ratio_of_all: the ratio when no category is excluded: over the highest rate of all in the set.
        difference, difference_low, difference_high: rate minus the reference's (Newcombe).
        p, p_holm: exact test against the reference, and corrected for all categories of all sets.
        deviations: the difference in standard deviations under equality (Hazelwood v. United States, 433 U.S. 299).
        lacking, lacking_fifths: selections that the category lacks to the reference's rate, and to four fifths of it.
        one_more: the ratio with one more person of the category selected.
        turns: whether one selection given to the category instead of the reference turns the order of the two.
        least_ratio, least_category: (set,) the lowest ratio of the set and whose it is.
        null05, p_least: (set,) the least ratio that equal categories of these sizes fall below in 5 % of permutations,
            and how often they fall at least as low as found.
        null_fifths: (set,) how often equal categories show a ratio under four fifths.
    """

    outcome: str
    positive: str
    median: float
    tied: int
    n_total: int
    replicates: int
    least: int
    exclude: float
    justification: str
    sets: tuple[str, ...]
    n_known: PerSet
    unknown: PerSet
    reference: PerSet
    least_ratio: PerSet
    least_category: PerSet
    null05: PerSet
    null_fifths: PerSet
    p_least: PerSet
    category: PerCategory
    set_of: PerCategory
    n: PerCategory
    hits: PerCategory
    rate: PerCategory
    rate_low: PerCategory
    rate_high: PerCategory
    excluded: PerCategory
    small: PerCategory
    why: PerCategory
    ratio: PerCategory
    ratio_low: PerCategory
    ratio_high: PerCategory
    ratio_of_all: PerCategory
    difference: PerCategory
    difference_low: PerCategory
    difference_high: PerCategory
    p: PerCategory
    p_holm: PerCategory
    deviations: PerCategory
    lacking: PerCategory
    lacking_fifths: PerCategory
    one_more: PerCategory
    turns: PerCategory

    def of(self, s: int) -> np.ndarray:
        """The indices of one set's categories."""
        return np.flatnonzero(self.set_of == s)
