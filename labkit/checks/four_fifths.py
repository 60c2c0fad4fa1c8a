from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np

from labkit.core import ratios
from labkit.core.method import Range
from labkit.core.words import number, p_value
from labkit.records.audit_groups import GroupAudit
from labkit.records.finding import Finding, FindingStatus

# What impact ratios are ratios of: the second for tools that score.
RATES = ("selection_rate", "scoring_rate")


def four_fifths(
    audit: GroupAudit,
    *,
    ratio: Annotated[float, Range(0.5, 1.0), "the least impact ratio"] = 0.8,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "p, corrected for their number, beyond chance"] = 0.05,
) -> Iterable[Finding]:
    """Whether each feature's lowest selection (or scoring) rate is at least four fifths of its highest, beside a test.

    The test is of any difference between the groups, corrected by Holm for all metrics and features. A ratio below 0.8 in few people may be chance, and one above it in
    many people may be real (29 CFR 1607.4(D)), so ratio, interval and test always stand together. Only a ratio whose
    interval lies below the mark, with a difference beyond chance, does not meet it. The interval allows for having
    picked the two groups. The positive answer is taken for what people want: of a burden, ask for the other answer.
    """
    rates = [m for m, name in enumerate(audit.metrics) if name.partition(" of ")[0] in RATES]
    if not rates:
        says = "selection_rate was not among the metrics, and impact ratios are ratios of selection rates"
        yield Finding(check="four_fifths", status="not_applicable", says=says)
    for m in rates:
        _, _, which = audit.metrics[m].partition(" of ")
        for f in range(len(audit.features)):
            yield _one(audit, m, f, which, ratio, alpha)


def _one(audit: GroupAudit, m: int, f: int, which: str, ratio: float, alpha: float) -> Finding:
    by = f"by {audit.features[f]}"
    low_group, high_group = int(audit.lowest[m, f]), int(audit.highest[m, f])
    about: dict[str, Any] = {
        "check": "four_fifths",
        "criterion": f"impact ratio at least {ratio:g}",
        "subject": f"{which} {by}" if which else audit.features[f],
        "thresholds": {"ratio": ratio, "alpha": alpha},
    }
    if low_group < 0 or np.isnan(audit.ratio[m, low_group]):
        says = f"no two groups {by} have a selection rate to compare, or nobody was selected"
        return Finding(status="not_measured", says=says, **about)
    ranked = audit.ranked[m] & (audit.feature_of == f)
    value, (low, high) = float(audit.ratio[m, low_group]), _ends(audit.hits[m, ranked], audit.of[m, ranked])
    p, n = float(audit.p_holm[m, f]), int(audit.n[low_group] + audit.n[high_group])
    by_chance = p >= alpha
    if high < ratio and not by_chance:
        status: FindingStatus = "does_not_meet"
    elif low >= ratio:
        status = "meets"
    else:
        status = "inconclusive"
    says = (
        f"impact ratio{' of ' * bool(which)}{which} {by} {number(value, low, high)}, {audit.group[low_group]} over {audit.group[high_group]} in {n} people; "
        f"equal groups fall below {audit.null_ratio05[m, f]:.2f} one time in 20; {p_value(p)}. "
    )
    if value < ratio:
        says += (
            "Below four fifths, but this may be chance."
            if by_chance
            else "Below four fifths, and the groups differ by more than chance."
        )
        wanted = which or audit.positive
        says += f" This takes {repr(wanted) if wanted else 'a high score'} for what people want."
    else:
        says += "At least four fifths" + ("." if by_chance else ", but a real gap: the difference is more than chance.")
    return Finding(status=status, says=says, estimate=value, low=low, high=high, n=n, **about)


def _ends(hits: np.ndarray, of: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the least ratio among several proportions.

    Some pair truly has the least ratio, and its own lower end holds; the upper end allows for having picked the pair among
    all (Bonferroni).
    """
    a, b = np.nonzero(~np.eye(len(hits), dtype=bool))
    low, _ = ratios.ratio(hits[a], of[a], hits[b], of[b])
    _, high = ratios.ratio(hits[a], of[a], hits[b], of[b], 1 - 0.05 / (len(a) / 2))
    return float(np.nanmin(low)), float(np.nanmin(high))
