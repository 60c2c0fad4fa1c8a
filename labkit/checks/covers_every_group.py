from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np

from labkit.core.intervals import wilson
from labkit.core.method import Range
from labkit.core.words import number, p_value
from labkit.records.conformal import Conformal
from labkit.records.finding import Finding, FindingStatus


def covers_every_group(
    record: Conformal,
    *,
    tolerance: Annotated[float, Range(0, 0.5), "how far below its promise a group's coverage would not matter"] = 0.05,
    alpha: Annotated[
        float, Range(0.0001, 0.2, log=True), "p, corrected for all groups, below which it is no chance"
    ] = 0.005,
) -> Iterable[Finding]:
    """Whether sets hold the true class as often as promised in every class, and in every group of people.

    Split conformal promises a coverage over all rows, not in each group. A group that is covered less than rows like those
    calibrated on would be (exact beta-binomial tail, Holm over all classes and groups) does not meet the criterion, unless
    its interval lies within the tolerance; it is met when the intervals of all groups do.
    """
    for f, feature in enumerate(record.features):
        yield _one(record, feature, np.flatnonzero(record.feature_of == f), tolerance, alpha)


def _one(record: Conformal, feature: str, at: np.ndarray, tolerance: float, alpha: float) -> Finding:
    about: dict[str, Any] = {
        "check": "covers_every_group",
        "subject": feature,
        "criterion": f"coverage in every group at most {tolerance:g} below {record.level:g}",
        "thresholds": {"tolerance": tolerance, "alpha": alpha},
    }
    few = [f"{record.cell[g]} (n = {record.cell_n[g]})" for g in at[~record.ranked[at]]]
    told = f" Shown, not judged: {', '.join(few[:6])}{', and more' if len(few) > 6 else ''}." if few else ""
    at = at[record.ranked[at]]
    if not len(at):
        return Finding(status="not_measured", says=f"no group by {feature} has {record.least} rows.{told}", **about)
    hits, n, p = record.covered[at], record.cell_n[at], record.cell_p_holm[at]
    low, high = wilson(hits, n)
    near = low >= record.level - tolerance
    beyond = (p < alpha) & ~near
    worst = int(np.where(beyond | ~beyond.any(), hits / n, np.inf).argmin())
    value, below, above = float(hits[worst] / n[worst]), float(low[worst]), float(high[worst])
    says = (
        f"by {feature}, {record.cell[at][worst]} is covered least: {number(value, below, above)} of {n[worst]} rows, promised "
        f"{record.level:g} ({p_value(float(p[worst]))} where it is like the rest, Holm over "
        f"{int(record.ranked.sum())} classes and groups); mean size of set {number(float(record.cell_size[at][worst]))}, "
        f"{number(record.size[0])} over all rows."
    )
    if beyond.any():
        status: FindingStatus = "does_not_meet"
        says += f" Covered less than chance allows: {', '.join(record.cell[at][beyond][:12].tolist())}."
    else:
        status = "meets" if near.all() else "inconclusive"
        says += "" if near.all() else " This may be chance."
    return Finding(status=status, says=says + told, estimate=value, low=below, high=above, n=int(n[worst]), **about)
