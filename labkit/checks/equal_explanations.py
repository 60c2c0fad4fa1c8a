"""Do explanations serve groups alike, and does the model lean on the same columns in each?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np

from labkit.core.method import Range
from labkit.core.words import number, p_value, spoken
from labkit.records.explanation_disparity import RELIANCE, ExplanationDisparity
from labkit.records.finding import Finding, FindingStatus


def equal_explanations(
    record: ExplanationDisparity,
    *,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "p, corrected for their number, beyond chance"] = 0.05,
    tolerance: Annotated[float, Range(0, 1), "the largest difference in reliance that is acceptable"] = 0.1,
) -> Iterable[Finding]:
    """Whether groups differ in the quality of their explanations, or in what the model leans on, by more than groups made
    at random.

    Qualities have no common scale, so that a difference beyond chance is told and not judged: it is inconclusive, and
    within chance it is info. Reliance does not meet the criterion when it is beyond chance, its interval lies above the
    tolerance, and some column counts otherwise in one group among people with like values of it; it meets it when the
    interval lies within; else it is inconclusive.
    """
    for m, measure in enumerate(record.measures):
        for f in range(len(record.features)):
            yield _one(record, m, f, measure, {"alpha": alpha, "tolerance": tolerance})


def _one(record: ExplanationDisparity, m: int, f: int, measure: str, thresholds: dict[str, Any]) -> Finding:
    leaning, tolerance = measure == RELIANCE, thresholds["tolerance"]
    about: dict[str, Any] = {
        "check": "equal_explanations",
        "criterion": f"reliance at most {tolerance:g} apart"
        if leaning
        else "no further apart than groups made at random",
        "subject": f"{spoken(measure)} by {record.features[f]}",
        "thresholds": thresholds,
    }
    top, bottom = int(record.highest[m, f]), int(record.lowest[m, f])
    if top < 0:
        says = f"fewer than two groups by {record.features[f]} have {record.least} people in whom it is defined"
        return Finding(status="not_measured", says=says, **about)
    value, low, high = (float(a[m, f]) for a in (record.difference, record.difference_low, record.difference_high))
    beyond = record.p_holm[m, f] < thresholds["alpha"]
    otherwise = record.otherwise(f, thresholds["alpha"])
    status: FindingStatus
    if not leaning:
        status = "inconclusive" if beyond else "info"
    elif beyond and low > tolerance and otherwise:
        status = "does_not_meet"
    else:
        status = "meets" if high <= tolerance else "inconclusive"
    chance = f"groups made at random are {number(record.null95[m, f])} apart one time in 20"
    says = (
        f"{_what(record, m, f, top, bottom)}, {number(value, low, high)} apart; {chance} "
        f"({p_value(float(record.p_holm[m, f]))} after Holm's correction)."
    )
    if leaning and otherwise:
        says += f" Among people with like values of it, what counts otherwise: {', '.join(otherwise[:5])}."
    elif leaning and beyond:
        says += (
            " No column counts otherwise among people with like values of it: groups may differ in their values alone."
        )
    elif leaning and status == "inconclusive":
        says += " This may be chance."
    elif beyond and not leaning:
        says += " Beyond chance: explanations are not equally good in these groups."
    n = int(record.n[record.ranked & (record.feature_of == f)].sum())
    return Finding(status=status, says=says, estimate=value, low=low, high=high, n=n, **about)


def _what(record: ExplanationDisparity, m: int, f: int, top: int, bottom: int) -> str:
    names = [f"{record.group[g]} (n = {record.n[g]})" for g in (top, bottom)]
    if record.measures[m] != RELIANCE:
        one, other = (
            f"{number(record.value[m, g], record.low[m, g], record.high[m, g])} in {name}"
            for g, name in zip((top, bottom), names)
        )
        return f"{spoken(record.measures[m]).capitalize()} by {record.features[f]}: {one} and {other}"
    at = int(np.nanargmin(record.column_p[f] - record.column_difference[f] * 1e-6))
    most = (
        f"{record.columns[at]} has {number(record.share[top, at])} and {number(record.share[bottom, at])} of the whole"
    )
    return f"Reliance by {record.features[f]}: {names[0]} and {names[1]}, where {most}"
