"""Does the picture depend on what the model learned?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.checks._examples import share
from labkit.core.method import Range
from labkit.records.explain import Explanation
from labkit.records.finding import Finding


def randomized_weights(
    record: Explanation,
    *,
    threshold: Annotated[float, Range(0, 1), "correlation from which a map looks like that of random weights"] = 0.7,
) -> Finding:
    """Spearman's correlation, on the input's support, between the attribution and the same method's on random weights
    (Adebayo et al., 2018, arXiv 1810.03292). From 0.7 on, half of the ranks' variance is there without any learning.

    Beside it stands the planted-truth score, since a method can find a truth and still follow the input's values: when
    the correlation is high and the planted truth is found, the finding is inconclusive.
    """
    criterion = f"on the input's support, correlation below {threshold:g} on most examples"
    thresholds = {"threshold": threshold}
    score = record.scores.get("randomized_weights")
    if score is None:
        says = "No random-weights control was computed: explain with evidence='randomized_weights'."
        return Finding(check="randomized_weights", status="not_measured", says=says, criterion=criterion)
    if score.not_applicable:
        says = f"Not applicable to {record.method}: {score.not_applicable}."
        return Finding(check="randomized_weights", status="not_applicable", says=says, criterion=criterion)
    known = score.values[np.isfinite(score.values)]
    if not len(known):
        says = "Not measured because the maps, or those of the random weights, are constant on the input's support."
        return Finding(check="randomized_weights", status="not_measured", says=says, criterion=criterion)
    above = share(known >= threshold)
    side, (found, planted) = above.side(), _planted(record)
    median = float(np.median(known))
    return Finding(
        check="randomized_weights",
        status="meets" if side == "few" else "does_not_meet" if side == "most" and not found else "inconclusive",
        says=f"With random weights, {record.method} gives maps whose median correlation with the real ones is "
        f"{median:.2f} on the input's support ({np.nanmedian(score.more['whole']):.2f} over the whole input; a copy of "
        f"the input has 1.00); {threshold:g} or more on {above}. {planted}",
        estimate=median,
        n=len(known),
        criterion=criterion,
        thresholds=thresholds,
    )


def _planted(record: Explanation) -> tuple[bool, str]:
    """Whether the method clearly finds a planted truth, and the sentence that says so."""
    score = record.scores.get("planted_truth")
    if score is None or score.not_applicable or not np.isfinite(score.values).any():
        return False, "No planted-truth score stands beside it."
    hit, chance = float(np.nanmean(score.values)), float(np.nanmean(score.controls["random"].values))
    return hit > (1 + chance) / 2, f"Planted truth found: {hit:.2f} (random {chance:.2f})."
