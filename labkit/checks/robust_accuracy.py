"""Is the bound on robust accuracy high enough?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.core.words import number
from labkit.records.finding import Finding, FindingStatus
from labkit.records.robustness_curve import RobustnessCurve


def robust_accuracy(
    record: RobustnessCurve,
    *,
    at_least: Annotated[float, Range(0, 1), "the robust accuracy asked for; 0 asks for none"] = 0.0,
    eps: Annotated[float, Range(0, 1e9), "at which budget; 0 takes the largest"] = 0.0,
) -> Finding:
    """Whether attacks rule out the robust accuracy asked for.

    Attacks give a bound from above: they can show that a model falls short, never that it does not. So a bound above
    what was asked for is inconclusive, and only a certificate could meet it.
    """
    at = int(np.isclose(record.eps, eps).argmax()) if eps and np.isclose(record.eps, eps).any() else len(record.eps) - 1
    value = float(record.robust_accuracy()[at])
    low, high = (float(end[at]) for end in record.interval())
    says = f"Robust accuracy at most {number(value, low, high)} at eps {record.eps[at]:g} on {len(record)} rows."
    if eps and not np.isclose(record.eps[at], eps):
        status: FindingStatus = "not_measured"
        says = f"No attack was run at eps {eps:g}; budgets were {', '.join(f'{e:g}' for e in record.eps)}."
    elif not at_least:
        status = "info"
    elif high < at_least:
        status, says = "does_not_meet", f"{says} That is below {at_least:g}."
    else:
        status, says = "inconclusive", f"{says} Attacks do not rule out {at_least:g}, but cannot prove it."
    return Finding(
        check="robust_accuracy",
        status=status,
        says=says,
        estimate=value,
        low=low,
        high=high,
        n=len(record),
        criterion=f"robust accuracy of at least {at_least:g}" if at_least else "no criterion set",
        thresholds={"at_least": at_least, "eps": eps},
    )
