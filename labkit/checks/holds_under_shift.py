"""Does accuracy hold when inputs are damaged as the world damages them?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.core.words import number, spoken
from labkit.records.finding import Finding, FindingStatus
from labkit.records.natural_shifts import NaturalShifts


def holds_under_shift(
    record: NaturalShifts,
    *,
    tolerance: Annotated[float, Range(0, 1), "the mean drop in accuracy that is acceptable; 0 sets no criterion"] = 0.0,
) -> Finding:
    """Whether the mean drop over all corruptions and severities is within the tolerance, judged by its interval over rows.

    It does not where one-sided doubt is below 1 %, which asks for more than that the interval at 95 % lies above.
    It speaks of these corruptions alone: others may cost more.
    """
    drop, low, high = record.mean_drop()
    mean = record.shifted.mean(1)
    worst = int(mean.argmin())
    says = (
        f"Mean drop {number(drop, low, high)} over {len(mean)} corruptions at {len(record.severities)} severities on "
        f"{len(record)} rows, from {record.accuracy:.2f}; {spoken(record.corruptions[worst])} leaves {mean[worst]:.2f}."
    )
    guessed = [spoken(c) for c, chance in zip(record.corruptions, record.at_chance) if chance.any()]
    if guessed:
        says += f" Not told from guessing at some severity: {', '.join(guessed)}."
    idle = [spoken(c) for c, n in zip(record.corruptions, record.changed) if not n.any()]
    if record.status == "contradicted" or len(idle) == len(mean):
        status: FindingStatus = "inconclusive"
        says += f" {record.reason or 'No corruption changed a row'}."
    elif not tolerance:
        status = "info"
    elif high <= tolerance:
        status = "meets"
    else:
        sure = record.mean_drop(0.98)[1]  # an accusation is wrong one time in a hundred at most
        status = "does_not_meet" if sure > tolerance else "inconclusive"
    if np.isfinite(record.relative):
        says += f" That is {number(record.relative)} times the clean error."
    return Finding(
        check="holds_under_shift",
        status=status,
        says=says,
        estimate=drop,
        low=low,
        high=high,
        n=len(record),
        criterion=f"mean drop at most {tolerance:g}" if tolerance else "no criterion set",
        thresholds={"tolerance": tolerance},
    )
