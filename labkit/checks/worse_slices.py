from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from labkit.core.method import Range
from labkit.core.words import number, p_value, share
from labkit.records.find_slices import Slices
from labkit.records.finding import Finding, FindingStatus

ABOUT = "worse_slices"


def worse_slices(
    record: Slices,
    *,
    tolerance: Annotated[float, Range(0, 1), "how much worse than the rest a slice may be"] = 0.1,
    alpha: Annotated[
        float, Range(0.0001, 0.2, log=True), "p, corrected for all slices carried over, beyond chance"
    ] = 0.05,
    people: Annotated[int, Range(30, 3000, log=True), "of a slice, from which it must not be missed"] = 300,
) -> Iterable[Finding]:
    """Whether people of any slice are worse off than the rest by more than the tolerance.

    A slice does not meet the criterion when people who were not searched confirm it beyond chance after Holm's
    correction, with an interval above the tolerance; one that is confirmed, with an interval that reaches down to it, is
    inconclusive; one within the tolerance is told for information. Where no slice is confirmed it meets the criterion if
    a slice of so many people would have been seen four times in five, were it worse by the tolerance.
    """
    criterion = f"{record.metric} of a slice at most {tolerance:g} above the rest"
    thresholds = {"tolerance": tolerance, "alpha": alpha, "people": people}
    if record.status == "not_measured":
        says = f"not measured because {record.reason}"
        yield Finding(check=ABOUT, status="not_measured", says=says, criterion=criterion, thresholds=thresholds)
        return
    sure = [i for i in range(len(record.slice)) if record.p_holm[i] <= alpha]
    for i in sure:
        low, high = float(record.difference_low[i]), float(record.difference_high[i])
        status: FindingStatus = "does_not_meet" if low > tolerance else "info" if high <= tolerance else "inconclusive"
        yield Finding(
            check=ABOUT,
            status=status,
            says=_says(record, i),
            estimate=float(record.difference[i]),
            low=low,
            high=high,
            n=int(record.n[i]),
            criterion=criterion,
            subject=record.slice[i],
            thresholds=thresholds,
        )
    if not sure:
        seen = record.missed[record.sizes >= people]
        yield Finding(
            check=ABOUT,
            status="meets" if len(seen) and (seen <= tolerance).all() else "inconclusive",
            says=_none(record),
            n=record.confirming,
            criterion=criterion,
            thresholds=thresholds,
        )


def _says(record: Slices, i: int) -> str:
    word = share if record.rate else number
    ends = record.difference_low[i], record.difference_high[i]
    return (
        f"{record.metric} where {record.slice[i]}: {word(record.value[i])} among {record.n[i]:,} people who were not searched, "
        f"{word(record.rest[i])} among the rest: {number(record.difference[i], *ends)} more ({p_value(record.p_holm[i])} after "
        f"Holm's correction for {len(record.slice)} slice{'s' if len(record.slice) > 1 else ''})."
    )


def _none(record: Slices) -> str:
    seen = [f"{number(d)} in {s} people" for s, d in zip(record.sizes, record.missed) if d == d]
    power = f" Four times in five a slice would be seen that is worse by {'; '.join(seen)}." if seen else ""
    return (
        f"no slice was confirmed to be worse in {record.metric}, of {record.candidates:,} looked at and {len(record.slice)} "
        f"carried over to {record.confirming:,} people who were not searched.{power}"
    )
