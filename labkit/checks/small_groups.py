from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.core.words import spoken
from labkit.records.audit_groups import GroupAudit
from labkit.records.finding import Finding

# So many groups are named for one cause; the table has all.
SHOWN = 6


def small_groups(
    audit: GroupAudit,
    *,
    unknown: Annotated[float, Range(0, 1), "the share of people whose group may be unknown"] = 0.1,
) -> Iterable[Finding]:
    """Which groups are too small to be ranked, or could not be measured at all, and of how many people none is known.

    The limits are those of the audit: fewer than ``least`` people, or fewer than ``least_of`` of the class in question.
    """
    criterion = f"{audit.least} people in each group, {audit.least_of} of the class in question, most groups known"
    for f, feature in enumerate(audit.features):
        groups = audit.groups_of(feature)
        told = [f"{what}: {_some(names)}" for what, names in _by_cause(audit, groups).items()]
        if audit.unknown[f]:
            told.append(f"{audit.unknown[f]} of {audit.n_total} people have no known group and are left out")
        strangers = bool(audit.unknown[f] > unknown * audit.n_total)
        yield Finding(
            check="small_groups",
            status="inconclusive" if strangers or any(_small(audit, g).any() for g in groups) else "meets",
            says="; ".join(told) + "." if told else f"every group of {feature} is large enough to be compared.",
            n=int(audit.n[groups].min()) if len(groups) else 0,
            criterion=criterion,
            subject=feature,
            thresholds={"unknown": unknown},
        )


def _small(audit: GroupAudit, g: int) -> np.ndarray:
    """(metric,) whether a group is below the limits for that metric."""
    return (audit.n[g] < audit.least) | (audit.of[:, g] < audit.least_of) | ~audit.ranked[:, g]


def _by_cause(audit: GroupAudit, groups: np.ndarray) -> dict[str, list[str]]:
    """What must be said, and of which groups."""
    found: dict[str, list[str]] = {}
    for g in groups:
        who, why, ranked = f"{audit.group[g]} ({audit.n[g]} people)", audit.why[:, g], audit.ranked[:, g]
        for reason in dict.fromkeys(str(w) for w in why if w):
            found.setdefault(f"{_those(audit, why == reason)} not measured because of {reason}", []).append(who)
        if ((why == "") & ~ranked).any():
            found.setdefault(f"shown, not ranked, in {_those(audit, (why == '') & ~ranked)}", []).append(who)
        if (_small(audit, g) & ranked).any():
            found.setdefault("compared although small, since no two groups are large enough", []).append(who)
    return found


def _those(audit: GroupAudit, metrics: np.ndarray) -> str:
    return ", ".join(spoken(name) for name, chosen in zip(audit.metrics, metrics) if chosen)


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
