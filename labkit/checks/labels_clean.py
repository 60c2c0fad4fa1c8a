from __future__ import annotations

from typing import Annotated

from labkit.core.method import Range
from labkit.core.words import share
from labkit.records.finding import Finding, FindingStatus
from labkit.records.label_errors import LabelErrors


def labels_clean(
    record: LabelErrors,
    *,
    most: Annotated[float, Range(0, 1), "the share of labels that may be wrong"] = 0.03,
    found: Annotated[
        float, Range(0, 1), "recall and precision on planted errors from which the search is believed"
    ] = 0.5,
) -> Finding:
    """Whether at most the share of labels is wrong; well-known test sets have about 3 of 100 wrong (Northcutt, Athalye and
    Mueller, 2021, arXiv 2103.14749).

    It does not meet it when the estimated rate and the share that differs however sure the learner is both lie above,
    by their intervals, and a learner that is trained anew on planted errors finds them (recall and precision above
    ``found``). It meets it when either interval lies within. Where a task is ambiguous by nature, it is inconclusive.
    """
    able = record.refitted and min(record.recall[1], record.precision[1]) > found
    status: FindingStatus = "inconclusive"
    if min(record.rate[2], record.floor[2]) <= most:
        status = "meets"
    elif able and min(record.rate[1], record.floor[1]) > most:
        status = "does_not_meet"
    says = (
        f"Estimated wrong: {share(*record.rate)} of {record.n:,} labels; {share(*record.floor)} however sure the learner is. "
        f"Of {record.planted} planted errors {share(*record.recall)} are named, {share(*record.precision)} of the newly named."
    )
    if not able:
        why = "tells errors from hard examples too seldom" if record.refitted else "was not trained anew on these"
        says += f" It {why}: what is a hard example cannot be told apart."
    return Finding(
        check="labels_clean",
        status=status,
        says=says,
        estimate=record.floor[0],
        low=record.floor[1],
        high=record.floor[2],
        n=record.n,
        criterion=f"at most {most:.3g} of the labels wrong",
        subject="labels",
        thresholds={"most": most, "found": found},
    )
