from __future__ import annotations

from typing import Annotated

from labkit.core.method import Range
from labkit.core.words import number, p_value
from labkit.records.calibration import Calibration
from labkit.records.finding import Finding, FindingStatus


def calibrated(
    record: Calibration,
    *,
    tolerance: Annotated[float, Range(0.001, 0.5, log=True), "a calibration error that would not matter"] = 0.05,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "p below which it is more than chance"] = 0.05,
    least: Annotated[int, Range(2, 1000), "rows below which nothing is concluded"] = 30,
) -> Finding:
    """Whether the calibration error is no larger than a perfectly calibrated model of these scores would show.

    Within chance it meets the criterion only when chance alone stays within the tolerance; with fewer rows it is
    inconclusive. Beyond chance it does not meet it.
    """
    says = (
        f"calibration error {number(record.ece)} on {record.n} rows; a calibrated model reaches {number(record.ece95)} "
        f"one time in 20; {p_value(record.p)}. Brier score {number(record.brier, record.brier_low, record.brier_high)}, "
        f"of which {number(record.miscalibration)} is miscalibration; "
        f"always answering the base rate gives {number(record.uncertainty)}."
    )
    if record.n < least:
        status: FindingStatus = "inconclusive"
        says += f" Fewer than {least} rows settle nothing."
    elif record.p < alpha:
        status = "does_not_meet"
    elif record.ece95 <= tolerance:
        status = "meets"
    else:
        status = "inconclusive"
        says += f" Too few rows to see an error of {tolerance:g}."
    return Finding(
        check="calibrated",
        status=status,
        says=says,
        estimate=record.ece,
        n=record.n,
        criterion=f"calibration error no larger than chance, and chance within {tolerance:g}",
        subject=record.event,
        thresholds={"tolerance": tolerance, "alpha": alpha, "least": least},
    )
