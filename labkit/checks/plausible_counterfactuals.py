from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.checks._allowance import allowed
from labkit.core.intervals import clopper_pearson
from labkit.core.method import Range
from labkit.records.counterfactuals import Counterfactuals
from labkit.records.finding import Finding, FindingStatus

OUTSIDE = 0.05


def plausible_counterfactuals(
    record: Counterfactuals,
    *,
    tolerance: Annotated[float, Range(0, 1), "share of counterfactuals that may be far from all real rows"] = 0.2,
) -> Finding:
    """Whether counterfactuals lie where rows of their class are: one is outside where it is farther from its fifth-nearest
    training row of that class than 19 of 20 other rows of the class are from theirs.

    Of real rows one in 20 is outside. Judged by the exact interval of the share, over the first counterfactual of each row.
    """
    criterion = f"at most {tolerance:g} outside of where real rows of the class are"
    real = record.real[:, 0][~np.isnan(record.real[:, 0])]
    if not len(real):
        says = (
            "not measured because there is no distance between texts here."
            if record.modality == "text"
            else f"not measured because no counterfactual, or under {2 * record.neighbour} neighbours, could be compared."
        )
        return Finding(check="plausible_counterfactuals", status="not_measured", says=says, criterion=criterion)
    outside, n = int((real <= OUTSIDE).sum()), len(real)
    low, high = (float(end) for end in clopper_pearson(outside, n))
    status: FindingStatus = "meets" if high <= tolerance else "inconclusive"
    if low > tolerance and outside > allowed(n, tolerance):
        status = "does_not_meet"
    rest = f" What these {outside} suggest may not be found in life." if status == "does_not_meet" else ""
    return Finding(
        check="plausible_counterfactuals",
        status=status,
        says=(
            f"{outside} of {n} counterfactuals (95 % interval of the share {low:.2f} to {high:.2f}) are farther from training "
            f"rows of their class than 19 of 20 real rows are; of real rows one in 20 would be.{rest}"
        ),
        estimate=outside / n,
        low=low,
        high=high,
        n=n,
        criterion=criterion,
        thresholds={"tolerance": tolerance},
    )
