from __future__ import annotations

from typing import Annotated

from labkit.core.method import Range
from labkit.core.words import number
from labkit.records.finding import Finding, FindingStatus
from labkit.records.learning_curve import LearningCurve


def extrapolation_holds(
    record: LearningCurve,
    *,
    tolerance: Annotated[float, Range(0.01, 2), "how far foretold errors may be from measured ones, as a ratio"] = 0.25,
) -> Finding:
    """Whether the law fitted to the smaller sizes foretells the errors at the held-out larger ones, by the interval of their
    ratio (Alabdulmohsin, Neyshabur and Zhai, 2022, arXiv 2209.06640)."""
    name = "extrapolation_holds"
    if record.along != "examples":
        return Finding(check=name, status="not_applicable", says=f"No law is fitted along {record.along}.")
    if record.law is None:
        return Finding(check=name, status="not_measured", says=f"Not measured because {record.untold}.", n=record.n)
    ratio, low, high = record.law.miss
    held = record.point[record.role == "held out"]
    if low > 1 + tolerance or high < 1 / (1 + tolerance):
        status: FindingStatus = "does_not_meet"
    elif low >= 1 / (1 + tolerance) and high <= 1 + tolerance:
        status = "meets"
    else:
        status = "inconclusive"
    says = (
        f"At {' and '.join(f'{v:,}' for v in held)} rows the law of the smaller sizes foretells errors "
        f"{number(ratio, low, high)} times those measured on {record.n:,} test rows, over {record.seeds} seeds."
    )
    return Finding(
        check=name,
        status=status,
        says=says,
        estimate=ratio,
        low=low,
        high=high,
        n=record.n,
        criterion=f"a ratio from {1 / (1 + tolerance):.2f} to {1 + tolerance:.2f}",
        thresholds={"tolerance": tolerance},
    )
