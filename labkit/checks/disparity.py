from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from labkit.core.method import Range
from labkit.core.words import number, p_value, spoken
from labkit.records.audit_groups import GroupAudit
from labkit.records.finding import Finding, FindingStatus


def disparity(
    audit: GroupAudit,
    *,
    tolerance: Annotated[float, Range(0, 1), "the largest difference between groups that is acceptable"] = 0.1,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "p, corrected for their number, beyond chance"] = 0.05,
) -> Iterable[Finding]:
    """Whether each largest difference between groups is within the tolerance, beside what equal groups would show.

    It does not meet the criterion when it is beyond chance after Holm's correction for all metrics and features, and
    its interval lies above the tolerance; it meets it when the interval lies within; else it is inconclusive. How
    much a model without error would differ, because base rates differ, is said beside it.
    """
    for m, metric in enumerate(audit.metrics):
        for f, feature in enumerate(audit.features):
            yield _one(audit, m, f, f"{spoken(metric)} by {feature}", tolerance, alpha)


def _one(audit: GroupAudit, m: int, f: int, subject: str, tolerance: float, alpha: float) -> Finding:
    about: dict[str, Any] = {
        "check": "disparity",
        "criterion": f"largest difference at most {tolerance:g}",
        "subject": subject,
        "thresholds": {"tolerance": tolerance, "alpha": alpha},
    }
    top, bottom = int(audit.highest[m, f]), int(audit.lowest[m, f])
    if top < 0:
        reasons = dict.fromkeys(str(w) for w in audit.why[m, audit.feature_of == f] if w)
        says = f"fewer than two groups could be measured ({'; '.join(reasons) or 'one group alone'})"
        return Finding(status="not_measured", says=says, **about)
    value, low, high = (float(a[m, f]) for a in (audit.difference, audit.difference_low, audit.difference_high))
    p, n = float(audit.p_holm[m, f]), int(audit.n[audit.feature_of == f].sum())
    beyond = p < alpha
    if beyond and low > tolerance:
        status: FindingStatus = "does_not_meet"
    elif high <= tolerance:
        status = "meets"
    else:
        status = "inconclusive"
    groups = int(audit.ranked[m, audit.feature_of == f].sum())
    says = (
        f"{subject}: {number(value, low, high)} between {audit.group[top]} and {audit.group[bottom]}, the largest among "
        f"{groups} groups ({n} people); chance alone reaches {audit.null95[m, f]:.2g} one time in 20. "
    )
    sure = int(audit.surest_high[m, f]), int(audit.surest_low[m, f])
    if sure != (top, bottom):
        apart = audit.value[m, sure[0]] - audit.value[m, sure[1]]
        says += f"The surest is {number(apart)} between {audit.group[sure[0]]} and {audit.group[sure[1]]}: "
    says += f"{p_value(p)} after Holm's correction."
    if status == "inconclusive":
        says += " A difference beyond chance, which may be small." if beyond else " This may be chance."
        if not beyond and audit.needed[m, f] > 0:
            says += f" A test finds {audit.of_interest:g} in about {audit.needed[m, f]:,.0f} people a group."
    if audit.perfect[m, f] > 0.01:
        says += f" A model without error would show {audit.perfect[m, f]:.2f}, since base rates differ."
    return Finding(status=status, says=says, estimate=value, low=low, high=high, n=n, **about)
