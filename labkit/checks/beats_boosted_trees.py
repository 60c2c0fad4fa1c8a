from __future__ import annotations

import numpy as np

from labkit.core.words import lead, number, spoken
from labkit.records.baselines import Baselines
from labkit.records.finding import Finding


def beats_boosted_trees(record: Baselines) -> Finding:
    """How far the model is ahead of boosted trees, which can be fitted in seconds and are hard to beat on tables
    (Grinsztajn et al., 2022, arXiv 2207.08815). It informs: they cannot be read either, so nothing is owed to them."""
    name, (ahead, low, high) = spoken(record.metric), record.ahead
    others = np.flatnonzero(~record.can_be_read & ~np.isnan(ahead))
    if record.better == 0 or not len(others):
        says = (
            f"{name} has no better side" if record.better == 0 else "boosted trees stand beside tables and series only"
        )
        return Finding(check="beats_boosted_trees", status="not_applicable", says=f"{says}.", subject=name)
    at = int(others[0])
    theirs = number(record.score[at], record.score_low[at], record.score_high[at], digits=3)
    unclear = ", which may be chance" if low[at] < 0 < high[at] else ""
    return Finding(
        check="beats_boosted_trees",
        status="info",
        says=(
            f"{record.baselines[at]} fitted on {record.fitted_on[at]} rows have {name} {theirs} on the same {record.n} rows: "
            f"the model is {lead(ahead[at], low[at], high[at])}{unclear}."
        ),
        estimate=float(ahead[at]),
        low=float(low[at]),
        high=float(high[at]),
        n=record.n,
        subject=name,
    )
