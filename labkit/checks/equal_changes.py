"""Does a change of the model cost some groups more than others?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from labkit.core.method import Range
from labkit.core.words import number, p_value, spoken
from labkit.records.changes_by_group import ANSWER, ChangesByGroup
from labkit.records.finding import Finding, FindingStatus


def equal_changes(
    record: ChangesByGroup,
    *,
    tolerance: Annotated[
        float, Range(0, 1), "the largest difference between groups' changes that is acceptable"
    ] = 0.05,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "p, corrected for their number, beyond chance"] = 0.05,
) -> Iterable[Finding]:
    """Whether the largest difference between groups' changes of each metric is within the tolerance, beside what groups
    made at random would show.

    It does not meet the criterion when it is beyond chance and its interval lies above the tolerance; it meets it when
    the interval lies within; else it is inconclusive. How many are answered otherwise is told by labkit.says.
    """
    for m, measure in enumerate(record.measures):
        for f in range(len(record.features)):
            if measure != ANSWER:
                yield _one(record, m, f, {"tolerance": tolerance, "alpha": alpha})


def _one(record: ChangesByGroup, m: int, f: int, thresholds: dict[str, Any]) -> Finding:
    subject, tolerance = f"change of {spoken(record.measures[m])} by {record.features[f]}", thresholds["tolerance"]
    about: dict[str, Any] = {
        "check": "equal_changes",
        "criterion": f"changes of groups at most {tolerance:g} apart",
        "subject": subject,
        "thresholds": thresholds,
    }
    top, bottom = int(record.highest[m, f]), int(record.lowest[m, f])
    if (record.of[m, record.feature_of == f] > 0).sum() == 1:
        says = f"{spoken(record.measures[m])} looks at one group by {record.features[f]} alone"
        return Finding(status="not_applicable", says=says, **about)
    if top < 0:
        says = f"fewer than two groups by {record.features[f]} have {record.least} people, {record.least_of} of them looked at"
        return Finding(status="not_measured", says=says, **about)
    value, low, high = (float(a[m, f]) for a in (record.difference, record.difference_low, record.difference_high))
    beyond = record.p_holm[m, f] < thresholds["alpha"]
    if beyond and low > tolerance:
        status: FindingStatus = "does_not_meet"
    else:
        status = "meets" if high <= tolerance else "inconclusive"
    ends = [f"{number(record.change[m, g])} in {record.group[g]} (n = {record.of[m, g]})" for g in (top, bottom)]
    says = (
        f"{subject[0].upper()}{subject[1:]}: {', '.join(ends)}, {number(value, low, high)} apart; groups made at random are {record.null95[m, f]:.2g} apart one time in 20 "
        f"({p_value(float(record.p_holm[m, f]))} after Holm's correction)."
    )
    if status == "inconclusive":
        says += " A difference beyond chance, which may be small." if beyond else " This may be chance."
    n = int(record.of[m, record.ranked[m] & (record.feature_of == f)].sum())
    return Finding(status=status, says=says, estimate=value, low=low, high=high, n=n, **about)
