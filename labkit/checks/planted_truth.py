"""Does the method find the truth where it is known?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.checks._examples import share
from labkit.core.method import Range
from labkit.records.explain import Explanation
from labkit.records.finding import Finding


def planted_truth(
    record: Explanation,
    *,
    least: Annotated[float, Range(0, 1), "share of the way from a random map's hit rate to 1"] = 0.25,
) -> Finding:
    """The same method on models that depend on a few known positions: on most examples it must find clearly more of
    them than a random map, by a quarter of what there is to gain. A coarse method, whose parts are larger than the
    planted positions, finds some of them; a map that does not ask the model finds what chance finds."""
    criterion = f"hit rate at least {least:.0%} of the way from a random map's to 1, on most examples"
    score = record.scores.get("planted_truth")
    if score is None or score.not_applicable or not np.isfinite(score.values).any():
        reason = "nobody asked: explain with evidence='planted_truth'"
        if score is not None:
            refused = f"of {score.not_applicable}" if score.not_applicable else ""
            reason = refused or "no example has two positions to tell apart"
        says = f"Not measured because {reason}."
        return Finding(check="planted_truth", status="not_measured", says=says, criterion=criterion)
    known = np.isfinite(score.values)
    hit, chance = score.values[known], float(np.nanmean(score.controls["random"].values))
    above = share(hit >= chance + least * (1 - chance))
    low, high = above.ends
    return Finding(
        check="planted_truth",
        status="meets" if above.side() == "most" else "does_not_meet" if above.surely_few() else "inconclusive",
        says=f"Where the truth is planted, {record.method} finds {hit.mean():.2f} of it (random {chance:.2f}); enough on "
        f"{above}.",
        estimate=above.hits / above.n,
        low=low,
        high=high,
        n=above.n,
        criterion=criterion,
        thresholds={"least": least},
    )
