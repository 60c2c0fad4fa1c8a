from __future__ import annotations

from typing import Annotated

from labkit.core.method import Range
from labkit.core.words import less
from labkit.records.finding import Finding, FindingStatus
from labkit.records.memorization import Memorization


def remembered_rows(
    record: Memorization,
    *,
    tolerance: Annotated[float, Range(0, 1), "how much more often training labels may be given back"] = 0.05,
    least: Annotated[int, Range(2, 1000), "rows that others get wrong below which nothing is concluded"] = 30,
) -> Finding:
    """Whether a model gives back the labels of training rows, to which models without them give another one, at most by the
    tolerance more often than it gives such test rows theirs.

    What it gives back of test rows it cannot have remembered: it knows more than the others. The interval of the
    difference decides.
    """
    criterion = f"labels given back at most {tolerance:g} more often in training than in test"
    options = {"tolerance": tolerance, "least": least}
    if not record.model:
        says = "not measured because no model was given; what the learner memorises was."
        return Finding(
            check="remembered_rows", status="not_measured", says=says, criterion=criterion, thresholds=options
        )
    value, low, high = record.remembered
    says = (
        f"of {record.hard} training rows that models without them get wrong {record.given_back} are given their label, of "
        f"{record.hard_test} such test rows {record.given_back_test}: {less(-value, -high, -low)} often in training."
    )
    n = min(record.hard, record.hard_test)
    if n < least:
        status: FindingStatus = "inconclusive"
        says += f" Fewer than {least} of one of them settle nothing."
    else:
        status = "does_not_meet" if low > tolerance else "meets" if high <= tolerance else "inconclusive"
    return Finding(
        check="remembered_rows",
        status=status,
        says=says,
        estimate=value if n else None,
        low=low if n else None,
        high=high if n else None,
        n=record.hard,
        criterion=criterion,
        subject=record.model,
        thresholds=options,
    )
