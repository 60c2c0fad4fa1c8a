"""Did relevance get lost on the way?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.records.explain import Explanation
from labkit.records.finding import Finding


def conservation(
    record: Explanation,
    *,
    tolerance: Annotated[float, Range(0, 1), "share of the logit, or of a larger part, that may be missed"] = 1e-3,
) -> Finding:
    """Whether relevance and what constants absorbed add up to the target's logit, for methods that give both: the law of
    conservation (Bach et al., 2015, doi 10.1371/journal.pone.0130140). The two are computed apart, so that they need not.

    How much the constants took is said beside it: a map that is conserved can still tell only part of the story.
    """
    criterion = f"relevance and bias miss the logit by at most {tolerance:g} of the largest of the three"
    if not {"logit", "bias"} <= set(record.facts):
        says = f"{record.method} does not hand an output back, so there is nothing to conserve."
        return Finding(check="conservation", status="not_applicable", says=says, criterion=criterion)
    record = record.shown()
    logit, bias = (record.facts[name].astype(np.float64) for name in ("logit", "bias"))
    given = record.attribution.astype(np.float64).reshape(len(record), -1).sum(1)
    missed = np.abs(given + bias - logit)
    size = np.maximum(np.abs(logit), np.maximum(np.abs(bias), np.abs(given)))  # the three may cancel
    gap = float(missed.sum() / max(size.sum(), 1e-12))
    taken = float(np.abs(bias).sum() / max((np.abs(bias) + np.abs(given)).sum(), 1e-12))
    return Finding(
        check="conservation",
        status="meets" if gap <= tolerance else "does_not_meet",
        says=f"Relevance and bias of {record.method} miss the logit by {gap:.1e} over {len(record)} examples; at the worst "
        f"by {missed.max():.2g}, on example {int(missed.argmax())}. Biases and other constants absorb {taken:.0%}, the "
        f"input's entries get {1 - taken:.0%}.",
        estimate=gap,
        n=len(record),
        criterion=criterion,
        thresholds={"tolerance": tolerance},
    )
