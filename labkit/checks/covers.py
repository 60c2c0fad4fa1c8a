from __future__ import annotations

from typing import Annotated

from labkit.core.method import Range
from labkit.core.words import number, p_value
from labkit.records.conformal import Conformal
from labkit.records.finding import Finding, FindingStatus


def covers(
    record: Conformal,
    *,
    tolerance: Annotated[float, Range(0, 0.5), "how far below its promise a coverage would not matter"] = 0.03,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "p below which a coverage is lower than chance"] = 0.005,
) -> Finding:
    """Whether sets hold the true class as often as promised.

    Coverage scatters with the rows that were calibrated on: lower than that allows (exact beta-binomial tail) means that
    these rows are not like those, and does not meet the criterion, unless the interval lies within the tolerance. It is met
    when the interval does; else it is inconclusive.
    """
    value, low, high = record.coverage
    says = (
        f"coverage {number(value, low, high, digits=3)} on {record.n} rows, promised {record.level:g}; where these rows are like "
        f"the {record.calibrated_on} calibrated on it lies from {number(record.band_low, digits=3)} to "
        f"{number(record.band_high, digits=3)} in 95 of 100 cases ({p_value(record.p_low)} for so few)."
    )
    if low >= record.level - tolerance:
        status: FindingStatus = "meets"
    elif record.p_low < alpha:
        status = "does_not_meet"
        says += " These rows are unlike those calibrated on: no promise holds for them."
    else:
        status = "inconclusive"
        says += f" Too few rows to tell a coverage {tolerance:g} below the promise."
    return Finding(
        check="covers",
        status=status,
        says=says,
        estimate=value,
        low=low,
        high=high,
        n=record.n,
        criterion=f"coverage at most {tolerance:g} below {record.level:g}",
        thresholds={"tolerance": tolerance, "alpha": alpha},
    )
