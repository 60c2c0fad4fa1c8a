from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from labkit.core.method import Range
from labkit.core.words import number
from labkit.records.finding import Finding, FindingStatus
from labkit.records.membership_inference import MembershipInference


def blind_guess(
    record: MembershipInference,
    *,
    limit: Annotated[float, Range(0.5, 1), "area up to which a guess without the model is bearable"] = 0.55,
    level: Annotated[float, Range(0.9, 0.9999), "of the interval in which an untrained copy's 0.5 must lie"] = 0.995,
) -> Iterator[Finding]:
    """Whether what tells training from test rows is the training: a guess that never asks the model must fail (Das, Zhang
    and Tramèr, 2024, arXiv 2406.16201), and so must the chosen attack on a copy of the model that never learned.
    """
    n = len(record.member)
    name, (value, low, high) = record.guess()
    if name:
        yield Finding(
            check="blind_guess",
            status="does_not_meet" if low > limit else "meets" if high <= limit else "inconclusive",
            says=f"A guess by {name} that never asks the model has area {number(value, low, high, 3)} on {n} rows.",
            estimate=value,
            low=low,
            high=high,
            n=n,
            criterion=f"at most {limit:g}",
            subject="guess without the model",
            thresholds={"limit": limit, "level": level},
        )
    else:
        why = "A guess without the model was not measured because the inputs are not known."
        yield Finding(check="blind_guess", status="not_measured", says=why, subject="guess without the model")
    if record.untrained is None:
        return
    value, low, high = record.control(level)
    within: FindingStatus = "meets" if low <= 0.5 <= high else "does_not_meet"
    yield Finding(
        check="blind_guess",
        status=within,
        says=f"On a copy that never learned the attack has area {number(*record.control(), 3)} on {n} rows.",
        estimate=value,
        low=low,
        high=high,
        n=n,
        criterion=f"0.5 within the {100 * level:g} % interval",
        subject="untrained copy",
        thresholds={"limit": limit, "level": level},
    )
