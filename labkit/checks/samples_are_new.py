from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.intervals import holm
from labkit.core.method import Range
from labkit.core.words import number, p_value
from labkit.records.data_copying import DataCopying
from labkit.records.finding import Finding, FindingStatus


def samples_are_new(
    record: DataCopying,
    *,
    tolerance: Annotated[float, Range(0.001, 1, log=True), "share of samples that may be copies"] = 0.1,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "p below which nearness is more than chance"] = 0.01,
) -> Finding:
    """Whether samples lie no nearer to training rows than chance has it: over all, among the closest, in each cell and
    each space, all of these allowed for (Holm).

    Within chance it meets the criterion only where at most ``tolerance`` of the samples can be copies of any row that the
    model was trained on, those not searched counted in.
    """
    p = np.column_stack([record.share_p, record.p])
    names = ("nearest is a training row", *record.tests)
    adjusted = holm(p.ravel()).reshape(p.shape)
    space, test = np.unravel_index(int(np.nanargmin(adjusted)), p.shape)
    least = float(adjusted[space, test])
    most = float(min(1.0, record.close[:, 2].max() * record.trained / record.n_train))
    value, low, high = (float(v) for v in record.close[0])
    says = (
        f"{number(value, low, high)} of {record.n} samples lie closer to one of {record.n_train:,} training rows, beside "
        f"{record.n_held} held-out rows, than all but 0.05 of these do; "
    )
    status: FindingStatus = "inconclusive"
    if least < alpha:
        status = "does_not_meet"
        where = {"all": "over all samples", "closest": "among the closest rows", names[0]: "by what is nearest"}
        at = where.get(names[test], f"in {names[test]}")
        says += f"samples are nearer to training rows than chance has it, most surely {at} ({record.spaces[space]}): "
        says += f"{p_value(least)} with all comparisons allowed for."
    else:
        status = "meets" if most <= tolerance else "inconclusive"
        says += f"no more than chance shows ({p_value(min(1.0, least))}); at most {number(most)} of the samples copy any of "
        says += f"{record.trained:,} rows trained on."
    return Finding(
        check="samples_are_new",
        status=status,
        says=says,
        estimate=value,
        low=low,
        high=high,
        n=record.n,
        criterion=f"no nearer to training rows than chance, and at most {tolerance:g} of the samples copies",
        thresholds={"tolerance": tolerance, "alpha": alpha},
    )
