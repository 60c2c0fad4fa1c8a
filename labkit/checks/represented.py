from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np

from labkit.core.method import Range
from labkit.core.words import p_value
from labkit.records.data_bias import DataBias
from labkit.records.finding import Finding, FindingStatus


def represented(
    record: DataBias,
    *,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "p from which group shares are as in the reference"] = 0.01,
) -> Iterable[Finding]:
    """Whether every group has enough people to be measured, and shares as in the reference and in the training data.

    Enough is what tells any rate to +-5 points; that is a matter of the number of people and not of chance.
    """
    for f, feature in enumerate(record.features):
        at = record.groups_of(f)
        for i, part in enumerate(record.parts):
            few = [f"{record.group[g]} ({record.n[i, g]})" for g in at if record.n[i, g] < record.people_needed]
            says = f"every group by {feature} has {record.people_needed} people or more in {part}"
            if few:
                says = f"{part} has fewer than {record.people_needed} people of {', '.join(few[:8])}"
                says += f" and {len(few) - 8} groups more" if len(few) > 8 else ""
            says += "; so many tell any rate to 5 points either way."
            enough = f"{record.people_needed} people of each group"
            yield _finding(
                "does_not_meet" if few else "meets", says, f"{feature} in {part}", enough, record, i, at, alpha
            )
            if not np.isnan(p := float(record.reference_p[i, f])):
                gap = record.share[i, at] - record.reference[at]
                most = int(np.abs(gap).argmax())
                says = (
                    f"{record.group[at[most]]} are {100 * record.share[i, at[most]]:.1f} of 100 people in {part}, "
                    f"{100 * record.reference[at[most]]:.1f} in the reference ({p_value(p)} for all groups)."
                )
                status: FindingStatus = "does_not_meet" if p < alpha else "inconclusive"
                subject = f"{feature} in {part} beside the reference"
                yield _finding(status, says, subject, "shares as in the reference", record, i, at, alpha)
        if not np.isnan(p := float(record.shift_p[f])):
            says = (
                f"group shares by {feature} in test and training differ by {100 * record.shift_share[f]:.1f} points in all "
                f"({p_value(p)})."
            )
            status = "does_not_meet" if p < alpha / len(record.features) else "info"
            yield _finding(
                status, says, f"{feature} in test beside training", "test people as in training", record, 1, at, alpha
            )


def _finding(
    status: FindingStatus,
    says: str,
    subject: str,
    criterion: str,
    record: DataBias,
    i: int,
    at: np.ndarray,
    alpha: float,
) -> Finding:
    about: dict[str, Any] = {"n": int(record.n[i, at].sum()), "criterion": criterion, "thresholds": {"alpha": alpha}}
    return Finding(check="represented", status=status, says=says, subject=subject, **about)
