"""Are two sets of words equally near to the attributes?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.core.words import number, p_value
from labkit.records.embedding_association import EmbeddingAssociation
from labkit.records.finding import Finding, FindingStatus


def equal_association(
    record: EmbeddingAssociation,
    *,
    tolerance: Annotated[float, Range(0, 2), "the size of an effect that would not matter"] = 0.2,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "p below which it is more than chance"] = 0.05,
) -> Finding:
    """Whether the effect size is within the tolerance in either direction (0.2 is Cohen's small effect, 1988).

    It does not meet the criterion when it is beyond chance both among the test's own words and beside random sets of
    words, and its interval lies outside the tolerance; it meets it when the interval lies within; else it is
    inconclusive. Of a positive control, such as flowers and insects, not meeting it is what sound vectors do.
    """
    chance = max(record.p, 0.0 if np.isnan(record.p_control) else record.p_control)
    beyond = chance < alpha
    outside = record.low > tolerance or record.high < -tolerance
    if beyond and outside:
        status: FindingStatus = "does_not_meet"
    else:
        status = "meets" if max(abs(record.low), abs(record.high)) <= tolerance else "inconclusive"
    says = (
        f"{' against '.join(record.targets)}, {record.attributes[0]} against {record.attributes[1]}: effect size "
        f"{number(record.effect, record.low, record.high)} of {len(record.word)} words, {p_value(record.p)} among all ways "
        f"to deal them"
    )
    if not np.isnan(record.control95):
        says += f"; random words reach {number(record.control95)} one time in 20 ({p_value(record.p_control)})"
    says += "."
    if status == "inconclusive":
        says += " Beyond chance, but its size is not settled." if beyond else " This may be chance."
    return Finding(
        check="equal_association",
        status=status,
        says=says,
        estimate=record.effect,
        low=record.low,
        high=record.high,
        n=len(record.word),
        criterion=f"an effect size of at most {tolerance:g} in either direction",
        subject=f"{' against '.join(record.targets)}, by {' against '.join(record.attributes)}",
        thresholds={"tolerance": tolerance, "alpha": alpha},
    )
