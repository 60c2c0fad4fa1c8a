from __future__ import annotations

from typing import Annotated

from labkit.core import roc
from labkit.core.method import Range
from labkit.core.words import share, spoken
from labkit.records.finding import Finding, FindingStatus
from labkit.records.membership_inference import MembershipInference


def recognized_members(
    record: MembershipInference,
    *,
    times: Annotated[
        float, Range(1, 100, log=True), "how much more often a training row may be accused than another"
    ] = 3.0,
    enough: Annotated[int, Range(0, 100_000), "shadow models with fewer of which an attack is too weak to clear"] = 16,
) -> Finding:
    """Whether the chosen attack recognises training rows at most so many times as often as it accuses others, at the
    smallest of the asked false positive rates that the rows resolve.

    A true positive rate is at most ``exp(epsilon)`` times the false positive rate of any attack on a model that was
    trained with differential privacy (Kairouz, Oh and Viswanath, 2015, arXiv 1311.0776): 3 times is what an epsilon of 1.1
    would still allow. Judged by the 95 % interval on rows that did not choose the attack. A weak attack that finds little
    clears nobody; and without the inputs, what it finds may be owed to other people in the test data.
    """
    name = spoken(record.methods[record.chosen])
    settings = {"times": times, "enough": enough}
    if record.least < 0:
        wanted = float(record.fpr.max())
        why = (
            f"not measured because {record.others} other rows resolve false positive rates from {record.resolved:.2g} on: "
            f"{wanted:g} would take {roc.EXPECTED / wanted:,.0f}."
        )
        return Finding(check="recognized_members", status="not_measured", says=why, thresholds=settings)
    fpr = float(record.fpr[record.least])
    value, low, high = (float(v[record.least]) for v in record.rates())
    says = (
        f"the attack {name} recognises {share(value, low, high)} training rows where it wrongly accuses {share(fpr)} others "
        f"({record.members} and {record.others} rows, {record.shadows} shadow models)."
    )
    status: FindingStatus = "inconclusive"
    if low > times * fpr:
        if record.blind:
            status = "does_not_meet"
        else:
            says += " Whether memory or other people in the test data explain it cannot be told without the inputs."
    elif high <= times * fpr:
        if record.shadows >= enough:
            status = "meets"
        else:
            says += f" An attack with fewer than {enough} shadow models is too weak to rule more out."
    return Finding(
        check="recognized_members",
        status=status,
        says=says[:1].upper() + says[1:],
        estimate=value,
        low=low,
        high=high,
        n=record.members,
        criterion=f"at most {times:g} times the false positive rate of {fpr:g}",
        subject=name,
        thresholds=settings,
    )
