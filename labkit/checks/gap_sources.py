from __future__ import annotations

from typing import Annotated

from labkit.core.method import Range
from labkit.core.words import number
from labkit.records.finding import Finding
from labkit.records.gap_decomposition import GapDecomposition


def gap_sources(
    record: GapDecomposition,
    *,
    most: Annotated[float, Range(0, 1), "how much of a gap the attribute's own column may make, either way"] = 0.01,
) -> Finding:
    """Whether the attribute's own column makes some of the gap; where none is an input, which columns do, for information.

    Judged by the interval of the own columns' share together, as wide as the sum of their half widths.
    """
    own = [f for f in range(len(record.features)) if record.own[f]]
    sure = [record.features[f] for f in record.order if record.sure[f] and not record.own[f]]
    others = (
        f"beyond chance also {', '.join(sure[:4])}" if sure else "no other column makes more than chance alone gives"
    )
    if not own:
        says = f"No column bears the name {record.attribute}; {others.replace('also ', '')}."
        return Finding(check="gap_sources", status="info", says=says, n=int(record.n.sum()), subject=record.attribute)
    share, low, high = (float(v[own].sum()) for v in (record.contribution, record.low, record.high))
    inside, outside = max(abs(low), abs(high)) <= most, low > most or high < -most
    return Finding(
        check="gap_sources",
        status="meets" if inside else "does_not_meet" if outside else "inconclusive",
        says=f"Of a gap of {record.gap:.3f} the column {', '.join(record.features[f] for f in own)} itself makes "
        f"{number(share, low, high, digits=3)}; {others}.",
        estimate=share,
        low=low,
        high=high,
        n=int(record.n.sum()),
        criterion=f"at most {most:g} of the gap from the attribute itself, either way",
        subject=record.attribute,
        thresholds={"most": most},
    )
