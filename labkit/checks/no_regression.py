from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.core.words import number, p_value, spoken
from labkit.records.compare_models import BETTER, UNKNOWN, WITHIN, WORSE, ModelComparison
from labkit.records.finding import Finding, FindingStatus


def no_regression(
    record: ModelComparison,
    *,
    tolerance: Annotated[float, Range(0, 1), "how much worse the second model may be"] = 0.02,
) -> Iterable[Finding]:
    """Whether the second model is no worse than the first, for each metric and group.

    It does not meet the criterion when it is worse by more than the record's margin, corrected for all metrics and
    groups at once (at most ``alarm`` of like models, the record's); it meets it when the whole interval is better than
    the margin or the tolerance, whichever is larger; else no difference is shown, which is inconclusive.
    """
    allowed = max(tolerance, record.margin)
    for m in np.flatnonzero(record.better != 0):
        for g in range(len(record.group)):
            yield _one(record, int(m), g, allowed, tolerance)


def _one(record: ModelComparison, m: int, g: int, allowed: float, tolerance: float) -> Finding:
    verdict, sign = record.verdict(m, g), int(record.better[m])
    size, low, high = (float(v[m, g]) for v in (record.difference, record.low, record.high))
    subject = spoken(record.metrics[m]) + (f" of {record.group[g]}" if g else "")
    least = low if sign > 0 else -high
    status: FindingStatus = "inconclusive"
    if verdict == UNKNOWN:
        status = "not_measured"
    elif verdict == WORSE:
        status = "does_not_meet"
    elif least >= -allowed or verdict in (BETTER, WITHIN):
        status = "meets"
    says = (
        f"{subject}: {number(float(record.value_a[m, g]), digits=3)} by {record.a} and "
        f"{number(float(record.value_b[m, g]), digits=3)} by {record.b} on the same {record.n[g]} people, "
        f"a difference of {number(size, low, high, 3)}: {verdict}"
    )
    if status == "not_measured":
        few = record.n[g] < record.least
        says = f"{subject}: not measured because {f'{record.n[g]} people are fewer than {record.least}' if few else 'it is not defined there'}"
    elif verdict == WORSE:
        says += f", {p_value(float(record.p_worse[m, g]))} corrected for all that was looked at"
    return Finding(
        check="no_regression",
        status=status,
        says=f"{says}.",
        estimate=size,
        low=low,
        high=high,
        n=int(record.n[g]),
        criterion=f"worse by at most {allowed:g}",
        subject=subject,
        thresholds={"tolerance": tolerance},
    )
