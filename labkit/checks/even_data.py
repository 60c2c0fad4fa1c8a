from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.core.words import number, p_value
from labkit.records.data_bias import DataBias
from labkit.records.finding import Finding, FindingStatus


def even_data(
    record: DataBias,
    *,
    tolerance: Annotated[float, Range(0, 1), "the largest difference between groups that is acceptable"] = 0.1,
    alpha: Annotated[
        float, Range(0.0001, 0.2, log=True), "p, corrected for all that is compared, beyond chance"
    ] = 0.05,
) -> Iterable[Finding]:
    """Whether labels, missing values, copies and lengths differ between groups by at most the tolerance, part by part.

    It does not meet the criterion when the largest difference is beyond chance and its interval lies above the tolerance,
    meets it when the interval lies within, else it is inconclusive. Copies are told and not judged.
    """
    for i, r, f in np.ndindex(record.p.shape):
        rate, feature, part = record.rates[r], record.features[f], record.parts[i]
        if np.isnan(record.value[i, r]).all():
            continue
        value, low, high = (
            float(a[i, r, f]) for a in (record.difference, record.difference_low, record.difference_high)
        )
        subject = f"{rate} by {feature} in {part}"
        if np.isnan(value):
            status: FindingStatus = "not_measured"
            says = f"fewer than two groups by {feature} have {record.least} people in {part}"
        else:
            beyond = record.p_holm[i, r, f] < alpha
            status = "meets" if high <= tolerance else "inconclusive"
            if beyond and low > tolerance:
                status = "does_not_meet"
            if rate.startswith("same inputs"):
                status = "info"
            top, bottom = (record.group[a[i, r, f]] for a in (record.highest, record.lowest))
            says = (
                f"{subject}: {number(value, low, high)} between {top} and {bottom}; groups made at random reach "
                f"{record.null95[i, r, f]:.2g} one time in 20 ({p_value(float(record.p_holm[i, r, f]))} after Holm's correction)."
            )
            if record.within and r == 0 and not np.isnan(record.adjusted_difference[i, f]):
                gap, least, most = (
                    float(a[i, f]) for a in (record.adjusted_difference, record.adjusted_low, record.adjusted_high)
                )
                says += f" At equal {record.within}: {number(gap, least, most)}."
            if status == "info":
                says += " The larger a group, the more of its people look alike in few columns."
            if r < record.labels and beyond:
                says += " The data cannot tell whether the world or the labelling differs."
        yield Finding(
            check="even_data",
            status=status,
            says=says,
            estimate=value,
            low=low,
            high=high,
            n=int(record.n[i, record.groups_of(f)].sum()),
            criterion=f"largest difference at most {tolerance:g}",
            subject=subject,
            thresholds={"tolerance": tolerance, "alpha": alpha},
        )
