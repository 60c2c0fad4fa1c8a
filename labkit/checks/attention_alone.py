"""Is attention more than a picture here?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.checks._examples import share
from labkit.core.method import Range
from labkit.records.explain import Explanation
from labkit.records.finding import Finding


def attention_alone(
    record: Explanation,
    *,
    moves: Annotated[float, Range(0, 1), "least share of the output's change by which permuted maps move it"] = 0.1,
    agrees: Annotated[float, Range(-1, 1), "least rank correlation with the gradient's map"] = 0.0,
) -> Finding:
    """Attention that could be given to other tokens without changing the answer explains nothing (Jain and Wallace, 2019,
    arXiv 1902.10186); where it does change the answer, a gradient method must not rank the tokens the other way round.

    Both must hold on an example. The finding says whether they hold on most examples, or on few.
    """
    criterion = (
        f"on most examples permuted maps move the score by at least {moves:.0%} of its change from the baseline, and the "
        f"rank correlation with input_x_gradient is at least {agrees:g}"
    )
    thresholds = {"moves": moves, "agrees": agrees}
    if "permuted" not in record.facts or "agreement" not in record.facts:
        says = f"{record.method} shows no attention maps."
        return Finding(check="attention_alone", status="not_applicable", says=says, criterion=criterion)
    agreement = np.asarray(record.facts["agreement"], np.float64)
    known = np.isfinite(agreement) & (record.change != 0)
    if not known.any():
        says = "Not measured because attention or gradient is the same for every token, or the output does not change."
        return Finding(check="attention_alone", status="not_measured", says=says, criterion=criterion)
    moved = np.asarray(record.facts["permuted"], np.float64)[known] / np.abs(record.change[known])
    agreement = agreement[known]
    both = share((moved >= moves) & (agreement >= agrees))
    low, high = both.ends
    return Finding(
        check="attention_alone",
        status="meets" if both.side() == "most" else "does_not_meet" if both.surely_few() else "inconclusive",
        says=f"Permuting the attention maps moves the score by {np.median(moved):.0%} of its change (median), and the rank "
        f"correlation of {record.method} with input_x_gradient is {np.median(agreement):.2f} (median); both criteria hold "
        f"on {both}. Attention alone is not an explanation: read it beside the gradient's map.",
        estimate=both.hits / both.n,
        low=low,
        high=high,
        n=both.n,
        criterion=criterion,
        thresholds=thresholds,
    )
