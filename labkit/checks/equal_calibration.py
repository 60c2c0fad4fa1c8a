"""Do probabilities mean the same in every group?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from labkit.core.method import Range
from labkit.core.words import number, p_value
from labkit.records.calibration import MEASURES, Calibration, CalibrationByGroup
from labkit.records.finding import Finding, FindingStatus


def equal_calibration(
    record: Calibration,
    *,
    tolerance: Annotated[float, Range(0.001, 0.5, log=True), "the largest difference that is acceptable"] = 0.05,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "p, corrected for their number, beyond chance"] = 0.05,
) -> Iterable[Finding]:
    """Whether groups are at most the tolerance apart in how much more often the event happens than stated, and in their
    calibration errors, beside draws in which one curve from score to frequency holds for all of them.

    It does not meet the criterion when it is beyond chance and its interval lies above the tolerance; it meets it when
    the interval lies within; else it is inconclusive.
    """
    found = record.by_group
    if found is not None:
        for m in range(len(MEASURES)):
            for f in range(len(found.features)):
                yield _one(found, m, f, {"tolerance": tolerance, "alpha": alpha})


def _one(found: CalibrationByGroup, m: int, f: int, thresholds: dict[str, Any]) -> Finding:
    tolerance, subject = thresholds["tolerance"], f"{MEASURES[m]} by {found.features[f]}"
    about: dict[str, Any] = {
        "check": "equal_calibration",
        "criterion": f"groups at most {tolerance:g} apart",
        "subject": subject,
        "thresholds": thresholds,
    }
    top, bottom = int(found.highest[m, f]), int(found.lowest[m, f])
    if top < 0:
        says = f"fewer than two groups by {found.features[f]} have {found.least} people; it would take more of them"
        return Finding(status="not_measured", says=says, **about)
    value, low, high = (float(a[m, f]) for a in (found.difference, found.difference_low, found.difference_high))
    beyond = found.p_apart_holm[m, f] < thresholds["alpha"]
    if beyond and low > tolerance:
        status: FindingStatus = "does_not_meet"
    else:
        status = "meets" if high <= tolerance else "inconclusive"
    each = found.excess if m == 0 else found.ece
    what = "Happened more often than stated, by" if m == 0 else "Calibration error by"
    says = (
        f"{what} {found.features[f]}: {number(float(each[top]))} in {found.group[top]} (n = {found.n[top]}), "
        f"{number(float(each[bottom]))} in {found.group[bottom]} (n = {found.n[bottom]}), {number(value, low, high)} apart; "
        f"where one curve holds for all groups they are {found.null95[m, f]:.2g} apart one time in 20 "
        f"({p_value(float(found.p_apart_holm[m, f]))} after Holm's correction)."
    )
    if status == "inconclusive":
        says += " A difference beyond chance, which may be small." if beyond else " This may be chance."
    n = int(found.n[found.ranked & (found.feature_of == f)].sum())
    return Finding(status=status, says=says, estimate=value, low=low, high=high, n=n, **about)
