"""Is robustness equal?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np

from labkit.checks._gaps import LEAST, Gaps, gaps
from labkit.core.intervals import holm
from labkit.core.method import Range
from labkit.core.words import number, p_value
from labkit.records.attack import in_words
from labkit.records.finding import Finding, FindingStatus
from labkit.records.robustness_curve import RobustnessCurve


def equal_robustness(
    record: RobustnessCurve,
    *,
    tolerance: Annotated[float, Range(0, 1), "the largest difference between groups that is acceptable"] = 0.1,
    alpha: Annotated[float, Range(0.001, 0.2, log=True), "p, corrected for all that is compared, beyond chance"] = 0.01,
    least: Annotated[int, Range(2, 1000), "rows below which a group is shown and not compared"] = LEAST,
) -> Iterable[Finding]:
    """Whether robust accuracy, and the drop from the accuracy without an attack, differ between groups at any budget.

    The drop is judged beside it because groups may differ without an attack. Each is compared with groups made at random
    over all budgets at once, and corrected by Holm for the features and for being two. It does not meet the criterion
    when it is beyond chance and its interval lies above the tolerance; it meets it when the interval lies within; else it
    is inconclusive. Robust accuracies are bounds from above: what differs is what these attacks broke.
    """
    found = [g for feature in record.groups for g in gaps(record, feature, least)]
    corrected = holm(np.array([g.p for g in found]))
    for one, p in zip(found, corrected):
        yield _one(record, one, float(p), {"tolerance": tolerance, "alpha": alpha, "least": least})


def _one(record: RobustnessCurve, one: Gaps, p: float, thresholds: dict[str, Any]) -> Finding:
    tolerance, subject = thresholds["tolerance"], f"{one.what} by {one.feature}"
    about: dict[str, Any] = {
        "check": "equal_robustness",
        "criterion": f"{one.what} of groups at most {tolerance:g} apart at every budget",
        "subject": subject,
        "thresholds": thresholds,
    }
    if not one.compared:
        wanted = (
            f"fewer than two groups by {one.feature} have {thresholds['least']} rows" if len(one.eps) else "no budget"
        )
        return Finding(status="not_measured", says=f"{wanted}; it would take more{_small(one)}.", **about)
    value, low, high = (float(a.max()) for a in (one.difference, one.low, one.high))
    beyond = p < thresholds["alpha"]
    if record.status == "contradicted" or one.alike:
        status: FindingStatus = "inconclusive"
    elif beyond and low > tolerance:
        status = "does_not_meet"
    else:
        status = "meets" if high <= tolerance else "inconclusive"
    says = _says(record, one, subject, p, (value, low, high)) + _small(one)
    if record.status == "contradicted":
        says += ". The curve itself is contradicted, so that nothing is concluded"
    elif one.alike:
        says += ". At every budget all rows, or none, are alike in this: other budgets would tell more"
    elif status == "inconclusive":
        says += ". A difference beyond chance, which may be small" if beyond else ". This may be chance"
    n = int(one.n[one.ranked].sum())
    return Finding(status=status, says=says + ".", estimate=value, low=low, high=high, n=n, **about)


def _says(record: RobustnessCurve, one: Gaps, subject: str, p: float, ends: tuple[float, float, float]) -> str:
    shares = one.hits[:, one.surest] / one.n
    first, other = (f"{number(float(shares[g]))} in {one.names[g]} (n = {one.n[g]})" for g in one.pair)
    at = f"{in_words(record.norm)} eps {one.eps[one.surest]:g}"
    return (
        f"{subject[0].upper()}{subject[1:]}, against these attacks: at {at} {first} and {other}. The largest difference at "
        f"any budget is {number(*ends)}; groups made at random reach {number(one.most95)} one time in 20 ({p_value(p)} "
        "after Holm's correction)"
    )


def _small(one: Gaps) -> str:
    small = [f"{name} (n = {n})" for name, n in zip(one.names[~one.ranked], one.n[~one.ranked])]
    if not small:
        return ""
    return f". Shown, not compared: {', '.join(small[:6])}{f' and {len(small) - 6} more' if len(small) > 6 else ''}"
