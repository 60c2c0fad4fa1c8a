from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from labkit.core.method import Range
from labkit.core.words import number, spoken
from labkit.records.audit_groups import GroupAudit
from labkit.records.finding import Finding, FindingStatus


def worst_group(
    audit: GroupAudit,
    *,
    distance: Annotated[float, Range(0, 1), "how much worse than everybody a group may be"] = 0.1,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "p, corrected for their number, beyond chance"] = 0.05,
) -> Iterable[Finding]:
    """Whether the group that a metric serves worst is served nearly as well as everybody.

    The worst of several groups looks worse than it is: its interval holds for all groups at once, and the groups must
    differ beyond chance after Holm's correction for all metrics and features. Metrics of which
    neither direction is better, such as the selection rate, have no worst group.
    """
    directed = [m for m in range(len(audit.metrics)) if audit.better[m]]
    if not directed:
        says = "no metric among these is better high or better low"
        yield Finding(check="worst_group", status="not_applicable", says=says)
    for m in directed:
        for f, feature in enumerate(audit.features):
            yield _one(audit, m, f, f"{spoken(audit.metrics[m])} by {feature}", distance, alpha)


def _one(audit: GroupAudit, m: int, f: int, subject: str, distance: float, alpha: float) -> Finding:
    about: dict[str, Any] = {
        "check": "worst_group",
        "criterion": f"at most {distance:g} worse than everybody",
        "subject": subject,
        "thresholds": {"distance": distance, "alpha": alpha},
    }
    g, ranked = int(audit.worst[m, f]), int(audit.ranked[m, audit.feature_of == f].sum())
    if g < 0 or ranked < 2:
        says = (
            f"{'one group alone' if ranked else 'no group'} is large enough and could be measured: none to be worst of"
        )
        return Finding(status="not_measured", says=says, **about)
    value, low, high = float(audit.value[m, g]), float(audit.worst_low[m, f]), float(audit.worst_high[m, f])
    limit = float(audit.overall[m]) - distance * float(audit.better[m])
    if audit.better[m] > 0:
        failed, met = high < limit, low >= limit
    else:
        failed, met = low > limit, high <= limit
    beyond = audit.p_holm[m, f] < alpha
    status: FindingStatus = "does_not_meet" if failed and beyond else "meets" if met else "inconclusive"
    says = (
        f"{subject}: worst in {audit.group[g]} with {number(value, low, high)} among {ranked} groups "
        f"(n = {audit.n[g]}), beside {number(float(audit.overall[m]))} over everybody."
    )
    return Finding(status=status, says=says, estimate=value, low=low, high=high, n=int(audit.n[g]), **about)
