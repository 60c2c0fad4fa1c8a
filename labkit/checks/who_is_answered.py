from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np

from labkit.core.intervals import largest_difference
from labkit.core.method import Range
from labkit.core.words import number, share
from labkit.records.abstention import Abstention
from labkit.records.finding import Finding


def who_is_answered(
    record: Abstention,
    *,
    least: Annotated[int, Range(2, 1000), "rows that a group needs to be compared"] = 30,
) -> Iterable[Finding]:
    """Which groups are answered, and which are left to somebody else, when the less confident half of all rows is withheld:
    for information, since more is withheld where answers are harder. The 95 % interval of the largest difference between two groups
    allows for having picked them.
    """
    for f, feature in enumerate(record.features):
        yield _one(record, feature, np.flatnonzero(record.feature_of == f), least)


def _one(record: Abstention, feature: str, at: np.ndarray, least: int) -> Finding:
    about: dict[str, Any] = {
        "check": "who_is_answered",
        "subject": feature,
        "criterion": "for information",
        "thresholds": {"least": least},
    }
    at = at[record.size[at] >= least]
    if len(at) < 2:
        return Finding(status="not_measured", says=f"fewer than two groups by {feature} have {least} rows.", **about)
    half = int(np.argmin(np.abs(record.asked - 0.5)))
    kept, size = record.answered[at, half], record.size[at]
    low, high = largest_difference(kept, size)
    rate = kept / size
    top, bottom = int(rate.argmax()), int(rate.argmin())
    says = "With half of all rows answered, " + " and ".join(
        f"{share(float(rate[g]))} of {record.group[at[g]]} (n = {size[g]}) are, with {record.mistaken[at[g], half]} errors"
        for g in (top, bottom)
    )
    value = float(rate[top] - rate[bottom])
    says += f": {number(value, low, high)} apart by {feature}."
    n = int(size.sum())
    return Finding(status="info", says=says, estimate=value, low=low, high=high, n=n, **about)
