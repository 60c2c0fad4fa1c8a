"""Does a picture stay when the model forgets: one decision for every way of forgetting."""

from __future__ import annotations

import numpy as np

from labkit.checks._examples import share
from labkit.records.explain import Explanation
from labkit.records.finding import Finding, FindingStatus


def finding(
    record: Explanation, name: str, forgot: str, threshold: float, more: str = "", values: np.ndarray | None = None
) -> Finding:
    """Whether the correlation with the map of a model that ``forgot`` (the score's, or ``values``) is below the threshold
    on most examples.

    Beside it stands the planted-truth score, since a method can find a truth and still follow the input's values: when
    the correlation is high and the planted truth is found, the finding is inconclusive.
    """
    criterion = f"on the input's support, correlation below {threshold:g} on most examples"

    def found(status: FindingStatus, says: str, estimate: float | None = None, n: int | None = None) -> Finding:
        thresholds = {"threshold": threshold}
        return Finding(
            check=name, status=status, says=says, criterion=criterion, thresholds=thresholds, estimate=estimate, n=n
        )

    score = record.scores.get(name)
    if score is None:
        return found("not_measured", f"Not measured because nobody asked: explain with evidence={name!r}.")
    if score.not_applicable:
        return found("not_measured", f"Not measured because of {score.not_applicable}.")
    taken = score.values if values is None else values
    known = taken[np.isfinite(taken)]
    if not len(known):
        return found("not_measured", "Not measured because maps are constant on the input's support.")
    above, (true, planted) = share(known >= threshold), _planted(record)
    kept: FindingStatus = "does_not_meet" if above.surely_most() and not true else "inconclusive"
    return found(
        "meets" if above.side() == "few" else kept,
        f"{forgot}, {record.method} gives maps whose median correlation with the real ones is "
        f"{np.median(known):.2f} on the input's support ({more}a copy of the input has 1.00); {threshold:g} or more on "
        f"{above}. {planted}",
        float(np.median(known)),
        len(known),
    )


def _planted(record: Explanation) -> tuple[bool, str]:
    """Whether the method clearly finds a planted truth, and the sentence that says so."""
    score = record.scores.get("planted_truth")
    if score is None or score.not_applicable or not np.isfinite(score.values).any():
        return False, "No planted-truth score stands beside it."
    hit, chance = float(np.nanmean(score.values)), float(np.nanmean(score.controls["random"].values))
    return hit > (1 + chance) / 2, f"Planted truth found: {hit:.2f} (random {chance:.2f})."
