from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.intervals import clopper_pearson
from labkit.core.method import Range
from labkit.records.counterfactuals import Counterfactuals
from labkit.records.finding import Finding, FindingStatus


def stable_counterfactuals(
    record: Counterfactuals,
    *,
    copies: Annotated[float, Range(0.5, 1), "share of noisy copies that must keep the target"] = 0.9,
    tolerance: Annotated[float, Range(0, 1), "share of counterfactuals that may be lost to noise"] = 0.2,
) -> Finding:
    """Whether counterfactuals still get the target with small noise: the cheapest ones lie at the border of the class, where
    little is lost with little. Judged by the exact interval of the share that does not. With a larger ``lead`` the finding
    tells less of the border and more of the model.
    """
    criterion = f"at most {tolerance:g} lost with small noise"
    kept = record.kept[:, 0][~np.isnan(record.kept[:, 0])]
    if not len(kept):
        says = "not measured because there is no counterfactual, or no noise for such inputs."
        return Finding(check="stable_counterfactuals", status="not_measured", says=says, criterion=criterion)
    lost, n = int((kept < copies).sum()), len(kept)
    low, high = (float(end) for end in clopper_pearson(lost, n))
    status: FindingStatus = "does_not_meet" if low > tolerance else "meets" if high <= tolerance else "inconclusive"
    rest = (
        " Ask for a larger lead; where that does not help, the answer hangs on exact values."
        if status == "does_not_meet"
        else ""
    )
    asked = record.provenance.options.get("lead")
    ahead = "" if asked is None else f", asked for with a lead of {asked:g}"
    return Finding(
        check="stable_counterfactuals",
        status=status,
        says=(
            f"{lost} of {n} counterfactuals{ahead} (95 % interval of the share {low:.2f} to {high:.2f}) keep the target on "
            f"fewer than {copies:.0%} of copies with {record.noise_of}.{rest}"
        ),
        estimate=lost / n,
        low=low,
        high=high,
        n=n,
        criterion=criterion,
        thresholds={"copies": copies, "tolerance": tolerance},
    )
