from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.core.words import number, spoken
from labkit.records.finding import Finding, FindingStatus
from labkit.records.generalization_gap import GeneralizationGap


def overfitting(
    gap: GeneralizationGap,
    *,
    tolerance: Annotated[float, Range(0, 1), "how much worse the test value may be"] = 0.05,
    least: Annotated[int, Range(2, 1000), "rows in each set below which nothing is concluded"] = 30,
) -> Finding:
    """Whether the test value is worse than the training value by at most the tolerance.

    The interval of the difference decides: above the tolerance it does not meet the criterion, below it does, and
    across it is inconclusive.
    """
    drop, low, high = gap.drop
    n = min(gap.n_train, gap.n_test)
    name = spoken(gap.metric)
    says = (
        f"{name} {number(gap.train)} in training (n = {gap.n_train}) and {number(gap.test)} in test (n = {gap.n_test}): "
        f"{number(drop, low, high)} worse in test."
    )
    if not gap.n_train:
        status: FindingStatus = "not_measured"
        says = f"not measured because no training data were given; {name} in test is {number(gap.test)} (n = {gap.n_test})."
    elif gap.better == 0:
        status = "not_applicable"
        says = f"{name} is neither better high nor low, so that its difference {number(gap.gap)} is no overfitting."
    elif n < least or np.isnan(low):
        status, says = "inconclusive", f"{says} Fewer than {least} rows in one of them settle nothing."
    elif low > tolerance:
        status = "does_not_meet"
    elif high <= tolerance:
        status = "meets"
    else:
        status = "inconclusive"
    return Finding(
        check="overfitting",
        status=status,
        says=says,
        estimate=drop,
        low=low,
        high=high,
        n=gap.n_test,
        criterion=f"at most {tolerance:g} worse in test",
        subject=name,
        thresholds={"tolerance": tolerance, "least": least},
    )
