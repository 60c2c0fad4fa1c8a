from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from labkit.core.method import Range
from labkit.core.words import number, share
from labkit.records.counterfactual_fairness import CounterfactualFairness
from labkit.records.finding import Finding, FindingStatus


def counterfactually_fair(
    record: CounterfactualFairness,
    *,
    most: Annotated[float, Range(0, 1), "the share of people whose answer may differ"] = 0.05,
) -> Iterator[Finding]:
    """Whether at most so many people of each group would be answered otherwise, and whether that holds under the graph without
    any one of its edges. Where leaving out an edge turns the answer, or chance alone does as much, it cannot be told."""
    for g, group in enumerate(record.groups):
        low, high = float(record.share_low[g]), float(record.share_high[g])
        status: FindingStatus = "meets" if high <= most else "does_not_meet" if low > most else "inconclusive"
        says = (
            f"Under the stated graph {share(float(record.share[g]), low, high)} of {record.n[g]:,} people of the group {group} would be "
            f"answered otherwise (probability of {record.positive}: "
            f"{number(record.shift[g], record.shift_low[g], record.shift_high[g], digits=3)})"
        )
        without = record.edge_share[:, g]
        turned = [e for e, s in zip(record.edges, without) if (s > most) != (record.share[g] > most)]
        chance = float(record.null_share[:, g].max())
        if turned and status != "inconclusive":
            status = "inconclusive"
            says += f"; that hangs on the edge {turned[0]}"
        elif status == "does_not_meet" and chance >= float(record.share[g]):
            status = "inconclusive"
        yield Finding(
            check="counterfactually_fair",
            status=status,
            says=f"{says}; an attribute dealt out at random moves {100 * chance:.1f} of 100.",
            estimate=float(record.share[g]),
            low=low,
            high=high,
            n=int(record.n[g]),
            criterion=f"at most {most:g} answered otherwise, under the graph and without each of its edges",
            subject=f"{record.attribute} {group}",
            thresholds={"most": most},
        )
