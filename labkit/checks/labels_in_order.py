from __future__ import annotations

import numpy as np

from labkit.core.words import number
from labkit.records.finding import Finding
from labkit.records.generalization_gap import GeneralizationGap


def labels_in_order(gap: GeneralizationGap) -> Finding:
    """Whether the test accuracy is not so far below chance that labels and answers must follow another coding."""
    criterion = "accuracy not far below chance"
    if np.isnan(gap.relabelled):
        says = (
            f"accuracy {number(gap.accuracy)} on {gap.n_test} rows is not far below chance ({number(1 / gap.classes)})."
        )
        return Finding(check="labels_in_order", status="meets", says=says, n=gap.n_test, criterion=criterion)
    says = (
        f"accuracy {number(gap.accuracy, gap.accuracy_low, gap.accuracy_high)} on {gap.n_test} rows is far below chance "
        f"({number(1 / gap.classes)}); under the best renaming of the classes it is {number(gap.relabelled)}."
    )
    return Finding(
        check="labels_in_order",
        status="does_not_meet",
        says=says,
        estimate=gap.accuracy,
        low=gap.accuracy_low,
        high=gap.accuracy_high,
        n=gap.n_test,
        criterion=criterion,
    )
