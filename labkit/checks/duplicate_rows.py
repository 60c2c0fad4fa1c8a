from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.core.words import number, spoken
from labkit.records.finding import Finding, FindingStatus
from labkit.records.generalization_gap import GeneralizationGap


def duplicate_rows(
    gap: GeneralizationGap,
    *,
    most: Annotated[float, Range(0, 1), "the share of test rows that may also stand in training"] = 0.001,
    conflict: Annotated[
        float, Range(0, 1), "share with another label in training, from which they are no copies"
    ] = 0.02,
    alpha: Annotated[
        float, Range(0.0001, 0.2, log=True), "chance that labels of look-alikes agree, below which they are copies"
    ] = 0.001,
) -> Finding:
    """Whether test rows also stand in the training data.

    Copies carry their label along. Where enough of the equal rows have another label, they are different examples that
    look alike, as people do in tables of few categories: that is inconclusive; so it is where so few rows are equal that
    their labels may agree by chance (at most the majority's share to the power of their number). The metric on the other
    rows is beside it, and ``labkit.leakage`` also asks whether inputs can be equal by chance.
    """
    about = {"most": most, "conflict": conflict, "alpha": alpha}
    criterion = f"at most {most:.3g} of test rows in training"
    if gap.duplicates < 0:
        says = (
            "no training data were given"
            if not gap.n_train
            else "inputs were not kept; predictions made by labkit.predict carry a hash of each"
        )
        return Finding(check="duplicate_rows", status="not_measured", says=says, criterion=criterion, thresholds=about)
    share = gap.duplicates / gap.n_test
    says = f"{gap.duplicates} of {gap.n_test} test rows ({share:.2%}) also stand in the training data."
    if share <= most:
        status: FindingStatus = "meets"
    elif gap.conflicts >= conflict * gap.duplicates:
        status = "inconclusive"
        says += (
            f" {gap.conflicts} of them have another label there, so these may be different examples that look alike."
        )
    elif gap.majority_share**gap.duplicates > alpha:
        status = "inconclusive"
        says += " They are few, so these may be different examples that look alike: labkit.leakage asks how likely."
    else:
        status = "does_not_meet"
    if gap.duplicates and not np.isnan(gap.unseen):
        says += f" On the others {spoken(gap.metric)} is {number(gap.unseen, gap.unseen_low, gap.unseen_high)}"
        says += f" instead of {number(gap.test)}."
    return Finding(
        check="duplicate_rows",
        status=status,
        says=says,
        estimate=share,
        n=gap.n_test,
        criterion=criterion,
        subject="inputs",
        thresholds=about,
    )
