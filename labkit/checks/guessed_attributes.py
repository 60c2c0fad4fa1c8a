from __future__ import annotations

from typing import Annotated

from labkit.core.method import Range
from labkit.core.words import number
from labkit.records.attribute_inference import AttributeInference
from labkit.records.finding import Finding, FindingStatus


def guessed_attributes(
    record: AttributeInference,
    *,
    tolerance: Annotated[float, Range(0, 1), "share of people trained on of whom the model may tell the column"] = 0.05,
) -> Finding:
    """Whether asking the model tells the column of at most so many more people whom it was trained on: more than a guess
    from the other columns does, and more than it does about people whom it never saw (Jayaraman and Evans, 2022,
    arXiv 2209.01292).

    Several ways of asking are tried: the intervals hold for all of them at once (Bonferroni).
    """
    level = 1 - 0.05 / len(record.asking)
    found = {guess: record.remembered(guess, level) for guess in record.asking}
    most = max(found, key=lambda guess: found[guess][1])
    value, low, high = found[most]
    if low > tolerance:
        status: FindingStatus = "does_not_meet"
    elif all(top <= tolerance for _, _, top in found.values()):
        status = "meets"
    else:
        status = "inconclusive"
        most = max(found, key=lambda guess: found[guess][2])
        value, low, high = found[most]
    members = int(record.member.sum())
    says = (
        f"Asking {record.guesses[most]} tells {record.feature} of {number(value, low, high, 3)} more of the people trained on "
        f"(n = {members}, beside {len(record.member) - members} others) than other columns or other people explain."
    )
    return Finding(
        check="guessed_attributes",
        status=status,
        says=says,
        estimate=value,
        low=low,
        high=high,
        n=members,
        criterion=f"at most {tolerance:g} more people",
        subject=record.feature,
        thresholds={"tolerance": tolerance},
    )
