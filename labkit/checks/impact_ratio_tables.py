from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from labkit.core.words import number, p_value
from labkit.records.finding import Finding, FindingStatus
from labkit.records.impact_ratios import ImpactRatios


def impact_ratio_tables(record: ImpactRatios) -> Iterable[Finding]:
    """Whether each table of impact ratios can be read as it stands, and what must be said beside its least ratio.

    Local Law 144 sets no pass mark, and neither does this. A table is inconclusive where its least ratio rests on a
    small category or a small reference, or where one selection given to the other category would turn their order.
    """
    for s, name in enumerate(record.sets):
        low, top = int(record.least_category[s]), int(record.reference[s])
        if low < 0:
            says = f"{name} has no two categories with a rate to compare, or nobody in them is selected."
            yield Finding(check="impact_ratio_tables", status="not_measured", says=says, subject=name)
            continue
        few = [f"{record.category[c]} ({record.n[c]} people)" for c in dict.fromkeys((low, top)) if record.small[c]]
        turns = bool(record.turns[low])
        status: FindingStatus = "inconclusive" if few or turns else "info"
        found: dict[str, Any] = dict(
            estimate=float(record.ratio[low]), low=float(record.ratio_low[low]), high=float(record.ratio_high[low])
        )
        alone = " of these two alone" if len(record.of(s)) > 2 else ""
        exact = "all rates are equal" if low == top else f"exact {p_value(record.p[low])}{alone}"
        says = (
            f"impact ratio by {name} {number(*found.values())}, {record.category[low]} over {record.category[top]} in "
            f"{record.n[low] + record.n[top]} people, {exact}; equal categories fall below {record.null05[s]:.2f} one "
            f"time in 20. "
        )
        if few:
            says += f"It rests on {' and '.join(few)}, fewer than {record.least}. "
        if turns:
            says += f"One selection given to {record.category[low]} instead would turn the order of the two. "
        yield Finding(
            check="impact_ratio_tables",
            status=status,
            says=(says + _beside(record, s)).strip(),
            n=int(record.n[low] + record.n[top]),
            subject=name,
            criterion=f"at least {record.least} people in both, and an order that one selection does not turn",
            **found,
        )


def _beside(record: ImpactRatios, s: int) -> str:
    """What the rule wants said: people of unknown category, categories left out, scores at the median."""
    own = record.of(s)
    out = [f"{record.category[c]} (n = {record.n[c]}, {record.ratio_of_all[c]:.2f})" for c in own if record.excluded[c]]
    says = f"{record.unknown[s]} of {record.n_total} people have no known category. " if record.unknown[s] else ""
    if out:
        says += f"Left out as too few, with the ratio if none were: {', '.join(out)}. "
    if record.tied > 1:
        says += f"{record.tied} people score exactly the median and count as not above it."
    return says
