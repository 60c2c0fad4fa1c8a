from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from labkit.core.method import Range
from labkit.core.words import number
from labkit.records.canaries import Canaries
from labkit.records.finding import Finding, FindingStatus


def canary_exposure(
    record: Canaries,
    *,
    times: Annotated[float, Range(1, 10), "how much more often than strangers canaries may be taken for planted"] = 2.0,
    judge: Annotated[bool, "whether to judge it; else it is for information"] = True,
) -> Iterator[Finding]:
    """For each kind of canary: whether one that was planted with the fewest copies is recognised at most so many times as
    often as strangers are meant to be mistaken for one.

    Judged at the largest of the rates of mistakes, which is measured best, by the interval over canaries. It speaks of how
    this learner treats rows of that kind, not of any person in the data.
    """
    limit = min(1.0, times * float(record.fpr[-1]))
    for k, kind in enumerate(record.kinds):
        value, low, high = (
            float(v[k, 0, -1]) for v in (record.recognized, record.recognized_low, record.recognized_high)
        )
        status: FindingStatus = "does_not_meet" if low > limit else "meets" if high <= limit else "inconclusive"
        status = status if judge else "info"
        copies = "1 copy" if record.repeats[0] == 1 else f"{record.repeats[0]} copies"
        noticed = record.noticed(k)
        enough = (
            f"it shows from {noticed} copies on" if noticed > 1 else "one copy is enough to show" if noticed else ""
        )
        says = (
            f"a {kind} with {copies} is recognised with a rate of {number(value, low, high)}, where strangers are mistaken with "
            f"{number(float(record.mistaken[k, -1]))}{'; ' + enough if enough else ''}."
        )
        yield Finding(
            check="canary_exposure",
            status=status,
            says=says,
            estimate=value,
            low=low,
            high=high,
            n=record.count,
            criterion=f"recognised with a rate of at most {limit:g} where {record.fpr[-1]:g} of the strangers are mistaken",
            subject=kind,
            thresholds={"times": times, "judge": judge},
        )
