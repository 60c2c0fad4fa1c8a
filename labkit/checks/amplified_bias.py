from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from labkit.core.method import Range
from labkit.core.words import number, p_value
from labkit.records.bias_amplification import BiasAmplification
from labkit.records.finding import Finding, FindingStatus


def amplified_bias(
    record: BiasAmplification,
    *,
    tolerance: Annotated[float, Range(0, 1), "the bias amplification that is acceptable"] = 0.01,
    least_runs: Annotated[int, Range(1, 100), "training runs below which nothing is concluded of the training"] = 5,
) -> Iterable[Finding]:
    """Whether answers follow the group at most so much more than the truth does, in each direction and reference.

    It does not meet the criterion when the interval lies above the tolerance, and meets it when it lies within. With
    few training runs the same holds of these runs alone: then it does not meet, or is inconclusive, but never meets.
    """
    for m, (direction, reference) in enumerate(zip(record.direction, record.reference)):
        value, low, high = (float(a[m]) for a in (record.value, record.low, record.high))
        few = record.runs < least_runs
        if low > tolerance:
            status: FindingStatus = "does_not_meet"
        else:
            status = "meets" if high <= tolerance and not few else "inconclusive"
        held = "the truth of the same people" if reference == "test" else "the training data"
        says = (
            f"{direction} by {record.feature}, held against {held}: {number(value, low, high, digits=3)} on {record.n} "
            f"people and {record.runs} training run{'s' if record.runs > 1 else ''}; errors without regard to the group "
            f"give {number(float(record.null_mean[m]), digits=3)} ({p_value(float(record.p[m]))})."
        )
        if few:
            says += f" Other training runs may differ: {least_runs} or more tell."
        about: dict[str, Any] = {"thresholds": {"tolerance": tolerance, "least_runs": least_runs}, "n": record.n}
        yield Finding(
            check="amplified_bias",
            status=status,
            says=says,
            estimate=value,
            low=low,
            high=high,
            criterion=f"bias amplification at most {tolerance:g}",
            subject=f"{direction} by {record.feature}, {reference}",
            **about,
        )
