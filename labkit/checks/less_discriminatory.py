from __future__ import annotations

from typing import Annotated

from labkit.core.method import Range
from labkit.core.words import number, spoken
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
    ``gain`` at least with an interval above 0, at a price within the tolerance; it meets it when nothing worth ``gain`` was found
    or the interval of what was found lies below it; else it is inconclusive. That none was found among these methods does
    not say that there is none.
    """
    at, what = record.least, spoken(record.criterion)
    value, low, high = (float(a[at]) for a in (record.gain, record.gain_low, record.gain_high))
    cost = number(float(record.cost[at]), float(record.cost_low[at]), float(record.cost_high[at]), digits=3)
    methods = len(set(record.method[record.stage != "none"].tolist()))
    tried = f"among {len(record.method) - 1} other rules by {methods} method{'s' if methods != 1 else ''}"
    beyond = bool(record.p[record.reference] < alpha)
    status: FindingStatus
    if not record.found:
        alone = record.affordable.sum() <= 1
        status = "inconclusive" if alone else "meets"
        says = f"no alternative with less difference in {what} was found {tried}"
        says += f": on {record.n_choose} people no accuracy can be told within {record.tolerance:g}" if alone else ""
    else:
        says = (
            f"{record.named(at)} has {number(value, low, high, digits=3)} less difference in {what} by {record.feature}, at a "
            f"price of {cost} of accuracy: the least {tried}, chosen on {record.n_choose} people and stated on {record.n} others"
        )
        if beyond and low > 0 and value >= gain and record.cost[at] <= record.tolerance:
            status = "does_not_meet"
        elif high < gain:
            status = "meets"
        else:
            status = "inconclusive"
            says += _unsure(record, at, beyond, low)
    return Finding(
        check="less_discriminatory",
        status=status,
        says=f"{says[:1].upper()}{says[1:]}.",
        estimate=value,
        low=low,
        high=high,
        n=record.n,
        criterion=f"no alternative with {gain:g} less difference at an accuracy within {record.tolerance:g}",
        subject=f"{what} by {record.feature}",
        thresholds={"gain": gain, "alpha": alpha},
    )


def _unsure(record: Mitigation, at: int, beyond: bool, low: float) -> str:
    if not beyond:
        return ". The difference in use may itself be chance"
    if low <= 0:
        return ". That may be chance"
    return ". Its price may be beyond the tolerance" if record.cost[at] > record.tolerance else ". It may be small"
