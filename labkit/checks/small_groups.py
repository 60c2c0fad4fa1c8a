from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from labkit.core.words import spoken
from labkit.records.audit_groups import GroupAudit
from labkit.records.finding import Finding


def small_groups(audit: GroupAudit) -> Iterable[Finding]:
    """Which groups are too small to be ranked, or could not be measured at all, for each feature.

    The limits are those of the audit: fewer than ``least`` people, or fewer than ``least_of`` of the class in question.
    """
    criterion = f"{audit.least} people in each group, {audit.least_of} of the class in question"
    for f, feature in enumerate(audit.features):
        groups = audit.groups_of(feature)
        told = [text for g in groups for text in _group(audit, int(g))]
        if audit.unknown[f]:
            told.append(f"{audit.unknown[f]} of {audit.n_total} people have no known group and are left out")
        small = any(_small(audit, int(g)).any() for g in groups)
        yield Finding(
            check="small_groups",
            status="inconclusive" if small else "meets",
            says="; ".join(told) + "." if told else f"every group of {feature} is large enough to be compared.",
            n=int(audit.n[groups].min()) if len(groups) else 0,
            criterion=criterion,
            subject=feature,
        )


def _small(audit: GroupAudit, g: int) -> np.ndarray:
    """(metric,) whether a group is below the limits for that metric."""
    return (audit.n[g] < audit.least) | (audit.of[:, g] < audit.least_of) | ~audit.ranked[:, g]


def _group(audit: GroupAudit, g: int) -> Iterable[str]:
    """What must be said of one group."""
    name, n = audit.group[g], int(audit.n[g])
    why = audit.why[:, g]
    for reason in dict.fromkeys(str(w) for w in why if w):
        hit = [spoken(m) for m, w in zip(audit.metrics, why) if w == reason]
        yield f"{name} ({n} people): {', '.join(hit)} not measured because of {reason}"
    short = [spoken(m) for m, w, r in zip(audit.metrics, why, audit.ranked[:, g]) if not w and not r]
    if short:
        yield f"{name} ({n} people): shown, not ranked, in {', '.join(short)}"
    if (_small(audit, g) & audit.ranked[:, g]).any():
        yield f"{name} ({n} people): compared although small, since no two groups are large enough"
