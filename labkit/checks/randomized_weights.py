"""Does the picture depend on what the model learned?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.checks._forgetting import finding
from labkit.core.method import Range
from labkit.records.explain import Explanation
from labkit.records.finding import Finding


def randomized_weights(
    record: Explanation,
    *,
    threshold: Annotated[float, Range(0, 1), "correlation from which a map looks like that of random weights"] = 0.7,
) -> Finding:
    """Spearman's correlation, on the input's support, between the attribution and the same method's on random weights
    (Adebayo et al., 2018, arXiv 1810.03292). From 0.7 on, half of the ranks' variance is there without any learning."""
    score, whole = record.scores.get("randomized_weights"), ""
    if score is not None and np.isfinite(score.more.get("whole", np.zeros(0))).any():
        whole = f"{np.nanmedian(score.more['whole']):.2f} over the whole input; "
    return finding(record, "randomized_weights", "With random weights", threshold, whole)
