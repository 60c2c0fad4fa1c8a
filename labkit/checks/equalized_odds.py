from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np

from labkit.core.method import Range
from labkit.core.words import number, p_value, spoken
from labkit.records.audit_groups import GroupAudit
from labkit.records.finding import Finding, FindingStatus

PAIR = ("true_positive_rate", "false_positive_rate")


def equalized_odds(
    audit: GroupAudit,
    *,
    tolerance: Annotated[float, Range(0, 1), "the largest difference in either rate that is acceptable"] = 0.1,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "p, corrected for their number, beyond chance"] = 0.05,
) -> Iterable[Finding]:
    """Whether groups differ little in both their true and their false positive rate (Hardt, Price and Srebro, 2016, arXiv
    1610.02413): the larger of the two largest differences.

    The two rates are of different people, so that each has its own interval and test; the larger of their upper ends
    bounds both, and the smaller p, corrected by Holm for all metrics and features, is that of both. A rate that could not be measured leaves the whole unmeasured.
    """
    if not set(PAIR) <= set(audit.metrics):
        yield Finding(
            check="equalized_odds",
            status="not_applicable",
            says="true and false positive rates were not both among the metrics",
        )
        return
    for f, feature in enumerate(audit.features):
        yield _one(audit, f, feature, tolerance, alpha)


def _one(audit: GroupAudit, f: int, feature: str, tolerance: float, alpha: float) -> Finding:
    at = [audit.metric(name) for name in PAIR]
    about: dict[str, Any] = {
        "check": "equalized_odds",
        "criterion": f"larger of the two differences at most {tolerance:g}",
        "subject": feature,
        "thresholds": {"tolerance": tolerance, "alpha": alpha},
    }
    value, low, high, p = (
        a[at, f] for a in (audit.difference, audit.difference_low, audit.difference_high, audit.p_holm)
    )
    if np.isnan(value).any():
        unknown = " and ".join(spoken(name) for name, v in zip(PAIR, value) if np.isnan(v))
        says = f"the {unknown} could not be compared, and the other rate alone says nothing of both"
        return Finding(status="not_measured", says=says, **about)
    larger, both = int(value.argmax()), float(p.min())
    n = int(audit.n[audit.feature_of == f].sum())
    beyond = both < alpha
    if beyond and low.max() > tolerance:
        status: FindingStatus = "does_not_meet"
    else:
        status = "meets" if high.max() <= tolerance else "inconclusive"
    top, bottom = (int(a[at[larger], f]) for a in (audit.highest, audit.lowest))
    says = (
        f"equalized odds difference by {feature}: {number(value[larger], low.max(), high.max())}, in the "
        f"{spoken(PAIR[larger])} of {audit.group[top]} and {audit.group[bottom]} ({n} people); {p_value(both)} for the "
        "surer of the two after Holm's correction."
    )
    if status == "inconclusive":
        says += " A difference beyond chance, which may be small." if beyond else " This may be chance."
    return Finding(
        status=status,
        says=says,
        estimate=float(value[larger]),
        low=float(low.max()),
        high=float(high.max()),
        n=n,
        **about,
    )
