"""Does the picture depend on all of the model, or on its first layers alone?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.checks._forgetting import finding
from labkit.core.method import Range
from labkit.records.explain import Explanation
from labkit.records.finding import Finding


def cascading_weights(
    record: Explanation,
    *,
    threshold: Annotated[
        float, Range(0, 1), "mean correlation from which a map looks like that of random weights"
    ] = 0.7,
) -> Finding:
    """Spearman's correlation, on the input's support, between the attribution and the same method's while layers get
    random weights one after the other from the top, on average over that cascade (Adebayo et al., 2018, arXiv
    1810.03292)."""
    score, first = record.scores.get("cascading_weights"), ""
    curve = np.zeros((0, 0)) if score is None else score.more.get("curve", np.zeros((0, 0)))
    if score is not None and curve.size and np.isfinite(curve[:, 1]).any():
        share = float(score.more["redrawn"][0, 1])
        first = f"{np.nanmedian(curve[:, 1]):.2f} once the last {share:.0%} of the layers are random; "
    return finding(record, "cascading_weights", "While layers get random weights from the top", threshold, first)
