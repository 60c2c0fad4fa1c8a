from __future__ import annotations

from typing import Annotated

from labkit.core.method import Range
from labkit.core.words import number, p_value, spoken
from labkit.records.finding import Finding, FindingStatus
from labkit.records.winners_curse import WinnersCurse


def survives_selection(
    record: WinnersCurse,
    *,
    tolerance: Annotated[float, Range(0, 0.5), "how much better the value may look than it is"] = 0.02,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "p below which the best is ahead of the median"] = 0.01,
) -> Finding:
    """Whether the best candidate's value stands when it is counted that it was chosen on these rows.

    It does not meet the criterion when the value lies outside the corrected interval on the better side; it meets it
    when it lies within, looks better than the corrected one by at most the tolerance, and the candidate is ahead of the
    median beyond what the best of like candidates is; else it is inconclusive.
    """
    name = spoken(record.metric)
    outside = record.naive > record.corrected_high if record.better > 0 else record.naive < record.corrected_low
    if outside:
        status: FindingStatus = "does_not_meet"
    elif record.curse <= tolerance and record.p < alpha:
        status = "meets"
    else:
        status = "inconclusive"
    says = (
        f"{name} {number(record.naive, digits=3)} is the best of {len(record.values)} candidates on the {record.n} rows "
        f"that it was chosen on; counting the choice it is {record.corrected_low:.3f} to {record.corrected_high:.3f} "
        f"(median-unbiased {record.corrected:.3f}); that like candidates have a best one so far "
        f"from their median has {p_value(record.p)}."
    )
    if status == "does_not_meet":
        says += " The value is one of the choice: it takes fresh rows."
    return Finding(
        check="survives_selection",
        status=status,
        says=says,
        estimate=record.corrected,
        low=record.corrected_low,
        high=record.corrected_high,
        n=record.n,
        criterion=f"looks better by at most {tolerance:g}, and beyond the best of like candidates",
        subject=name,
        thresholds={"tolerance": tolerance, "alpha": alpha},
    )
