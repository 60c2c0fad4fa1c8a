from __future__ import annotations

from typing import Annotated

from labkit.core.method import Range
from labkit.records.finding import Finding
from labkit.records.gap_decomposition import GapDecomposition


def gap_adds_up(
    record: GapDecomposition,
    *,
    tolerance: Annotated[float, Range(0, 0.1), "how far the shares may be off the gap, as a part of it"] = 0.01,
) -> Finding:
    """Whether the features' shares add up to the gap, as Shapley values must: what is left over is owed to nothing."""
    allowed = tolerance * max(abs(record.gap), record.gap_null95)
    says = f"The shares add up to {record.contribution.sum():.4f} of a gap of {record.gap:.4f}: {abs(record.left):.1g} is left."
    return Finding(
        check="gap_adds_up",
        status="meets" if abs(record.left) <= allowed else "does_not_meet",
        says=says,
        estimate=abs(record.left),
        n=int(record.n.sum()),
        criterion=f"at most {allowed:.2g} left over",
        subject=record.attribute,
        thresholds={"tolerance": tolerance},
    )
