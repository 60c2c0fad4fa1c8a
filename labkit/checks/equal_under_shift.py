"""Do some groups lose more than others when inputs are damaged?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from labkit.core.method import Range
from labkit.core.words import number, p_value
from labkit.records.finding import Finding, FindingStatus
from labkit.records.natural_shifts import NaturalShifts


def equal_under_shift(
    record: NaturalShifts,
    *,
    tolerance: Annotated[float, Range(0, 1), "the largest difference between groups' drops that is acceptable"] = 0.05,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "p, corrected for the features, beyond chance"] = 0.01,
) -> Iterable[Finding]:
    """Whether the largest difference between groups' mean drops is within the tolerance, beside what groups made at random
    would show.

    It does not meet the criterion when it is beyond chance and its interval lies above the tolerance; it meets it when
    the interval lies within; else it is inconclusive.
    """
    for f in range(len(record.features)):
        yield _one(record, f, tolerance, alpha)


def _one(record: NaturalShifts, f: int, tolerance: float, alpha: float) -> Finding:
    feature, top = record.features[f], int(record.highest[f])
    about: dict[str, Any] = {
        "check": "equal_under_shift",
        "criterion": f"drops of groups at most {tolerance:g} apart",
        "subject": feature,
        "thresholds": {"tolerance": tolerance, "alpha": alpha},
    }
    if top < 0:
        says = f"fewer than two groups by {feature} have {record.least} rows; it would take more of them"
        return Finding(status="not_measured", says=says, **about)
    value, low, high = (float(a[f]) for a in (record.difference, record.difference_low, record.difference_high))
    beyond, (n, drops, *_) = record.p_holm[f] < alpha, record.group_drops()
    bottom = int(record.lowest[f])
    if record.status == "contradicted":
        status: FindingStatus = "inconclusive"
    elif beyond and low > tolerance:
        status = "does_not_meet"
    else:
        status = "meets" if high <= tolerance else "inconclusive"
    says = (
        f"Mean drop by {feature}: {number(float(drops[top]))} in {record.group[top]} (n = {n[top]}), "
        f"{number(float(drops[bottom]))} in {record.group[bottom]} (n = {n[bottom]}), {number(value, low, high)} apart; "
        f"groups made at random are {record.null95[f]:.2g} apart one time in 20 ({p_value(float(record.p_holm[f]))} after "
        "Holm's correction)."
    )
    if status == "inconclusive":
        says += " A difference beyond chance, which may be small." if beyond else " This may be chance."
    compared = int(n[record.ranked & (record.feature_of == f)].sum())
    return Finding(status=status, says=says, estimate=value, low=low, high=high, n=compared, **about)
