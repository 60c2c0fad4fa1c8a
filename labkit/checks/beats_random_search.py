from __future__ import annotations

import numpy as np

from labkit.checks._allowance import allowed
from labkit.checks._examples import share
from labkit.records.counterfactuals import Counterfactuals
from labkit.records.finding import Finding, FindingStatus

# The rate at which chance may find what the search missed; more says that the search is at fault.
MISSED = 0.01


def beats_random_search(record: Counterfactuals) -> Finding:
    """Whether the search finds ways where random changes with as many questions find none, or cheaper ones.

    What random search alone finds shows that rows without a way are fewer than the search says; they are not counted as
    being without.
    """
    criterion = "a way where random search has none, or a cheaper one, on most rows where the two differ"
    if not record.control_queries.any():
        says = "not measured because random search asked nothing: control=False, or nothing that may change."
        return Finding(check="beats_random_search", status="not_measured", says=says, criterion=criterion)
    if not record.control_found.any() and not record.found[:, 0].any():
        says = "neither the search nor random search found a way for any row."
        return Finding(
            check="beats_random_search", status="inconclusive", says=says, n=len(record), criterion=criterion
        )
    own = np.where(record.found[:, 0], record.price[:, 0], np.inf)
    other = np.where(record.control_found, record.control_price, np.inf)
    better, worse = own < other - 1e-9, other < own - 1e-9
    wins = share(better[better | worse])
    missed = int((record.control_found & ~record.found[:, 0]).sum())
    status: FindingStatus = "inconclusive"
    if missed > allowed(len(record), MISSED) or (wins.n and wins.side() == "few"):
        status = "does_not_meet"
    elif not wins.n or wins.side() == "most":
        status = "meets"
    ahead = f"is ahead of random changes with as many questions on {wins} rows where the two differ, and they are"
    says = (
        f"the search {ahead if wins.n else 'and random changes are'} equal on {len(record) - wins.n}; random changes alone "
        f"find a way for {missed} of {len(record)} rows."
    )
    low, high = wins.ends if wins.n else (None, None)
    return Finding(
        check="beats_random_search",
        status=status,
        says=says,
        estimate=wins.hits / wins.n if wins.n else None,
        low=low,
        high=high,
        n=len(record),
        criterion=criterion,
    )
