from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np

from labkit.core.method import Range
from labkit.core.words import number, p_value
from labkit.records.finding import Finding, FindingStatus
from labkit.records.proxies import Proxies


def proxied_groups(
    record: Proxies,
    *,
    most: Annotated[float, Range(0.5, 1), "the AUC with which a group may be told from the other inputs"] = 0.7,
    alpha: Annotated[
        float, Range(0.0001, 0.2, log=True), "p, corrected for all that is compared, beyond chance"
    ] = 0.05,
) -> Iterable[Finding]:
    """Whether a group can be told from the other inputs, by the learner that does best, and from which columns.

    It does not meet the criterion when the interval of the AUC lies above ``most`` and the AUC is beyond chance, meets it
    when it lies within, else it is inconclusive. A column that determines the group does not meet it either.
    """
    about: dict[str, Any] = {"check": "proxied_groups", "thresholds": {"most": most, "alpha": alpha}}
    for i, part in enumerate(record.parts):
        k, t = np.unravel_index(int(np.nanargmax(record.auc[i])), record.auc[i].shape)
        value, low, high = (float(a[i, k, t]) for a in (record.auc, record.low, record.high))
        status: FindingStatus = "meets" if high <= most else "inconclusive"
        if low > most and record.p_holm[i, k, t] < alpha:
            status = "does_not_meet"
        says = (
            f"{record.sensitive} {record.targets[t]} is told in {part} with an AUC of {number(value, low, high)} by "
            f"{record.learners[k]}, with groups at random {number(float(record.null_mean[i, k, t]))} "
            f"({p_value(float(record.p_holm[i, k, t]))} after Holm's correction)."
        )
        carriers = [c for c, p, w in zip(record.columns, record.column_p_holm[i], record.tells) if p < alpha and not w]
        best = sorted(carriers, key=lambda c: -float(record.column_auc[i, record.columns.index(c), t]))
        if best:
            alone = ", ".join(f"{c} {record.column_auc[i, record.columns.index(c), t]:.2f}" for c in best[:4])
            says += f" {len(best)} of {len(record.columns)} columns alone go with the group beyond chance: {alone}."
        yield Finding(
            status=status,
            says=says,
            estimate=value,
            low=low,
            high=high,
            n=int(record.n_fit[i]),
            criterion=f"AUC at most {most:g}",
            subject=f"{record.sensitive} in {part}",
            **about,
        )
    for column, what in zip(record.columns, record.tells):
        if what:
            says = f"{column} {'is the group itself' if what == 'the attribute' else 'determines the group: another name for it'}."
            told: FindingStatus = "info" if what == "the attribute" else "does_not_meet"
            criterion = "no column that determines the group"
            yield Finding(
                status=told, says=says, criterion=criterion, subject=f"{record.sensitive} by {column}", **about
            )
