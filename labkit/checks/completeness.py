"""Does the attribution add up?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.records.explain import Explanation
from labkit.records.finding import Finding


def completeness(
    record: Explanation,
    *,
    tolerance: Annotated[float, Range(0, 1), "share of the output's change that may be missed"] = 0.05,
) -> Finding:
    """The attribution's sum against the change of the target's logit from baseline to input, for methods that promise
    to add up (Sundararajan, Taly and Yan, 2017, arXiv 1703.01365). Misses are summed over the examples, so that one
    whose output hardly changes does not decide."""
    criterion = f"the sum misses at most {tolerance:.0%} of the output's change"
    if not record.complete:
        says = f"{record.method} does not promise to add up to the output's change."
        return Finding(check="completeness", status="not_applicable", says=says, criterion=criterion)
    total = record.attribution.astype(np.float64).reshape(len(record), -1).sum(1)
    missed, change = np.abs(total - record.change), np.abs(record.change)
    gap = float(missed.sum() / max(change.sum(), 1e-12))
    worst = int((missed / np.maximum(change, 1e-12)).argmax())
    return Finding(
        check="completeness",
        status="meets" if gap <= tolerance else "does_not_meet",
        says=f"{record.method} misses {gap:.2%} of the output's change over {len(record)} examples; at the worst, "
        f"example {worst}, it adds up to {total[worst]:.3g} where the logit changes by {record.change[worst]:.3g}.",
        estimate=gap,
        n=len(record),
        criterion=criterion,
        thresholds={"tolerance": tolerance},
    )
