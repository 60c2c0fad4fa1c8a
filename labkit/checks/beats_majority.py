from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.core.words import number, p_value
from labkit.records.finding import Finding, FindingStatus
from labkit.records.generalization_gap import GeneralizationGap


def beats_majority(
    gap: GeneralizationGap,
    *,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "p below which it is more than chance"] = 0.05,
) -> Finding:
    """Whether the model's test accuracy is above that of always answering the most frequent class.

    An exact binomial test, one-sided. Balanced accuracy and log loss stand beside it, since accuracy can be at the
    majority's share while the scores tell the classes apart.
    """
    says = (
        f"accuracy {number(gap.accuracy, gap.accuracy_low, gap.accuracy_high)} on {gap.n_test} rows; always answering "
        f"{gap.majority_class!r} gives {number(gap.majority_share)}; {p_value(gap.majority_p)}; balanced accuracy "
        f"{number(gap.balanced_accuracy)}, where chance gives {number(1 / gap.classes)}."
    )
    if not np.isnan(gap.log_loss):
        says += f" Log loss {number(gap.log_loss)} against {number(gap.log_loss_prior)} for the class shares."
    if gap.majority_p < alpha:
        status: FindingStatus = "meets"
    elif gap.accuracy <= gap.majority_share:
        status = "does_not_meet"
    else:
        status = "inconclusive"
    return Finding(
        check="beats_majority",
        status=status,
        says=says,
        estimate=gap.accuracy,
        low=gap.accuracy_low,
        high=gap.accuracy_high,
        n=gap.n_test,
        criterion=f"accuracy above {gap.majority_share:.3g}, the majority's share",
        subject="accuracy",
        thresholds={"alpha": alpha},
    )
