"""Does the attribution add up?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.checks._examples import share
from labkit.core.method import Range
from labkit.records.explain import Explanation
from labkit.records.finding import Finding


def completeness(
    record: Explanation,
    *,
    tolerance: Annotated[float, Range(0, 1), "share of the output's change that may be missed"] = 0.05,
) -> Finding:
    """Each attribution's sum against the change of the target's score from baseline to input, for methods that promise
    to add up (Sundararajan, Taly and Yan, 2017, arXiv 1703.01365). Rows that miss too much are withheld by ``explain``:
    they are counted, and their numbers are not given."""
    criterion = f"every sum misses at most {tolerance:.0%} of the output's change"
    if not record.complete:
        says = f"{record.method} does not promise to add up to the output's change."
        return Finding(check="completeness", status="not_applicable", says=says, criterion=criterion)
    kept = ~record.withheld
    total = record.attribution[kept].astype(np.float64).reshape(int(kept.sum()), -1).sum(1)
    change = record.change[kept]
    gaps = np.abs(total - change) / np.maximum(np.abs(change), 1e-12)
    over, hidden, n = int((gaps > tolerance).sum()), int((~kept).sum()), len(record)
    held, worst = share(np.repeat([True, False], [n - over - hidden, over + hidden])), int(gaps.argmax())
    low, high = held.ends
    more = f"; {hidden} more are withheld" if hidden else ""
    return Finding(
        check="completeness",
        status="does_not_meet" if over else "inconclusive" if hidden else "meets",
        says=f"The sums of {record.method} are within {tolerance:.0%} of the output's change on {held}{more}; at the worst, "
        f"example {np.flatnonzero(kept)[worst]}, one adds up to {total[worst]:.3g} where the score changes by "
        f"{change[worst]:.3g}.",
        estimate=held.hits / n,
        low=low,
        high=high,
        n=n,
        criterion=criterion,
        thresholds={"tolerance": tolerance},
    )
