"""Do far shifts look less familiar than what the model knows?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.core.words import number, spoken
from labkit.records.finding import Finding, FindingStatus
from labkit.records.out_of_distribution import OutOfDistribution


def knows_what_it_does_not_know(
    record: OutOfDistribution,
    *,
    least: Annotated[float, Range(0.5, 1), "the AUROC against every far shift that is wanted"] = 0.5,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "how sure a verdict must be, over all far shifts"] = 0.01,
) -> Iterable[Finding]:
    """Whether each score puts far shifts below the known rows: the hardest is judged, with intervals for all at once.

    It does not meet the criterion where such an interval lies below ``least`` (0.5: noise looks more familiar than data),
    meets it where all lie above, and is inconclusive else. Near shifts are told and not judged: a model may rightly take
    them for what it knows. No score is picked for doing best on these shifts.
    """
    for i, score in enumerate(record.scores):
        yield _one(record, i, score, least, alpha)


def _one(record: OutOfDistribution, i: int, score: str, least: float, alpha: float) -> Finding:
    about = {"check": "knows_what_it_does_not_know", "criterion": f"AUROC above {least:g} against every far shift"}
    thresholds = {"least": least, "alpha": alpha}
    at = np.flatnonzero(record.far & ~np.isnan(record.auroc[i]))
    if not len(at):
        says = "no far shift was given, or none got finite answers; far= takes splits, 'uniform_noise' or 'shuffled'"
        return Finding(status="not_measured", says=says, subject=score, thresholds=thresholds, **about)  # type: ignore[arg-type]
    value = record.auroc[i, at]
    low, high = _ends(value, record.low[i, at], record.high[i, at], 1 - alpha / len(at))
    j = int(value.argmin())
    if record.status == "contradicted":
        status: FindingStatus = "inconclusive"
    elif (high < least).any():
        status = "does_not_meet"
    else:
        status = "meets" if (low > least).all() else "inconclusive"
    says = (
        f"By {spoken(score)} {spoken(record.shifts[at[j]])} is the hardest of {len(at)} far shifts: AUROC "
        f"{number(float(value[j]), float(low[j]), float(high[j]))} (for all at once) between {record.known} known rows and "
        f"{record.n[at[j]]}; {number(float(record.accepted[i, at[j]]))} of these pass where 0.95 of the known do."
    )
    near = record.auroc[i, ~record.far & ~np.isnan(record.auroc[i])]
    if len(near):
        says += f" Near shifts, not judged: {number(float(near.min()))} to {number(float(near.max()))}."
    if record.status == "contradicted":
        says += f" {record.reason[:1].upper()}{record.reason[1:]}."
    return Finding(
        status=status,
        says=says,
        estimate=float(value[j]),
        low=float(low[j]),
        high=float(high[j]),
        n=record.known + int(record.n[at[j]]),
        subject=score,
        thresholds=thresholds,
        **about,  # type: ignore[arg-type]
    )


def _ends(value: np.ndarray, low: np.ndarray, high: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """95 % intervals on the logit scale at another level; areas of 0 and 1 keep their ends."""
    from scipy.special import expit, logit, ndtri

    wider = float(ndtri(0.5 + level / 2) / ndtri(0.975))
    inside = (value > 0) & (value < 1) & (low > 0) & (high < 1)
    middle, below, above = (logit(np.where(inside, v, 0.5)) for v in (value, low, high))
    ends = (expit(middle + wider * (end - middle)) for end in (below, above))
    new_low, new_high = ends
    return np.where(inside, new_low, low), np.where(inside, new_high, high)
