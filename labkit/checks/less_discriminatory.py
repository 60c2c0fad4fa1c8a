from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from labkit.core.method import Range
from labkit.core.words import less, spoken
from labkit.records.finding import Finding, FindingStatus
from labkit.records.mitigate import Mitigation


def less_discriminatory(
    record: Mitigation,
    *,
    gain: Annotated[float, Range(0, 1), "how much less disparity is worth a change of the rule"] = 0.01,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "p from which the disparity in use is beyond chance"] = 0.05,
) -> Finding:
    """Whether a less discriminatory alternative of about the same accuracy was found: chosen on some people, confirmed on
    others.

    It does not meet the criterion when the disparity in use is beyond chance and the alternative has less of it, by
    ``gain`` at least with an interval above 0, at a price within the tolerance; it meets it when the interval of what the best
    alternative has less lies below ``gain``; else it is inconclusive. That none was found among these methods does not say
    that there is none.
    """
    at, what = record.least if record.found else _next(record), spoken(record.criterion)
    methods = len(set(record.method[record.stage != "none"].tolist()))
    tried = f"among {len(record.method) - 1} other rules by {methods} method{'s' if methods != 1 else ''}"
    about: dict[str, Any] = {
        "check": "less_discriminatory",
        "criterion": f"no alternative with {gain:g} less difference at an accuracy within {record.tolerance:g}",
        "subject": f"{what} by {record.feature}",
        "thresholds": {"gain": gain, "alpha": alpha},
        "n": record.n,
    }
    if record.why_none:
        says = f"no remedy could be tried: {record.why_none}."
        return Finding(status="not_measured", says=says, **about)
    if at == record.reference:
        says = f"{tried[0].upper()}{tried[1:]} none keeps within {record.tolerance:g} of the accuracy on {record.n_choose} people."
        return Finding(status="inconclusive", says=says, **about)
    value, low, high = (float(a[at]) for a in (record.gain, record.gain_low, record.gain_high))
    cost = less(*(float(a[at]) for a in (record.cost, record.cost_low, record.cost_high)))
    beyond = bool(record.p[record.reference] < alpha)
    status: FindingStatus = "meets" if high < gain else "inconclusive"
    if record.found and beyond and low > 0 and value >= gain and record.cost[at] <= record.tolerance:
        status = "does_not_meet"
    says = (
        f"{record.named(at)} has {less(value, low, high)} difference in {what} by {record.feature}, with {cost} "
        f"accuracy: the least {tried}, chosen on {record.n_choose} people and stated on {record.n} others"
    )
    if not record.found:
        says = f"No alternative {tried} had less than the rule in use on the people to choose by; the next, {says}"
    if status == "inconclusive":
        says += _unsure(record, at, beyond, low)
    return Finding(status=status, says=f"{says[:1].upper()}{says[1:]}.", estimate=value, low=low, high=high, **about)


def _next(record: Mitigation) -> int:
    """The affordable point with the least disparity besides the rule in use, or that rule where it is alone."""
    others = np.flatnonzero(record.affordable & (np.arange(len(record.method)) != record.reference))
    return int(others[record.chosen_disparity[others].argmin()]) if len(others) else record.reference


def _unsure(record: Mitigation, at: int, beyond: bool, low: float) -> str:
    if not beyond:
        return ". The difference in use may itself be chance"
    if low <= 0:
        return ". That may be chance"
    return ". Its price may be beyond the tolerance" if record.cost[at] > record.tolerance else ". It may be small"
