"""Can the adversarial inputs be stored?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.intervals import clopper_pearson
from labkit.core.method import Range
from labkit.records.attack import Adversarial
from labkit.records.finding import Finding, FindingStatus
from labkit.records.robustness_curve import RobustnessCurve


def survives_rounding(
    record: Adversarial | RobustnessCurve,
    *,
    least: Annotated[float, Range(0, 1), "share of successes that must survive"] = 0.95,
) -> Finding:
    """Whether successes are still ones after rounding to the values that the data take, as saving a file would.

    On a curve each row counts at its smallest breaking budget, where it is hardest to keep.
    """
    if isinstance(record, Adversarial):
        broken = int(record.success.sum())
    else:
        broken = int((np.isfinite(record.breaking_eps) & record.correct).sum())
    kept = int(record.stored.sum())
    criterion = f"at least {least:.0%} of successes survive rounding"
    if not broken or not record.levels:
        says = (
            "No row was broken, so there is nothing to store." if record.levels else "The data have no grid of values."
        )
        return Finding(check="survives_rounding", status="not_applicable", says=says, criterion=criterion)
    low, high = (float(v) for v in clopper_pearson(kept, broken))
    status: FindingStatus = "meets" if low >= least else "does_not_meet" if high < least else "inconclusive"
    return Finding(
        check="survives_rounding",
        status=status,
        says=f"{kept} of {broken} successes survive rounding to the {record.levels + 1} values that the data take "
        f"({100 * kept / broken:.0f} %, 95 % interval {100 * low:.0f} to {100 * high:.0f} %).",
        estimate=kept / broken,
        low=low,
        high=high,
        n=broken,
        criterion=criterion,
        thresholds={"least": least},
    )
