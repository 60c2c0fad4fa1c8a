"""Is there a picture at all?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.checks._allowance import allowed
from labkit.core.method import Range
from labkit.records.explain import Explanation
from labkit.records.finding import Finding


def zero_map(
    record: Explanation,
    *,
    most: Annotated[float, Range(0, 1), "share of maps that may be the same everywhere"] = 0.05,
) -> Finding:
    """Maps with one value everywhere rank nothing: gradients that vanish, a layer without support for the target. It
    takes more of them than a true share of ``most`` gives once in a hundred."""
    criterion = f"at most {most:.0%} of the maps are the same everywhere"
    if record.x[0].size == 1:
        says = "An input of one entry has nothing to rank."
        return Finding(check="zero_map", status="not_applicable", says=says, criterion=criterion)
    flat = record.withheld | (np.ptp(record.attribution.reshape(len(record), -1), axis=1) == 0)
    share = float(flat.mean())
    which = f" (first: example {int(flat.argmax())})" if flat.any() else ""
    beyond = "does_not_meet" if flat.sum() > allowed(len(record), most) else "inconclusive"
    return Finding(
        check="zero_map",
        status="meets" if share <= most else beyond,  # type: ignore[arg-type]
        says=f"{int(flat.sum())} of {len(record)} maps by {record.method} are the same everywhere, or withheld{which}.",
        estimate=share,
        n=len(record),
        criterion=criterion,
        thresholds={"most": most},
    )
