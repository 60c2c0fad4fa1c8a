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
    threshold: Annotated[float, Range(0, 1), "correlation from which a map looks like that of random weights"] = 0.7,
) -> Finding:
    """Spearman's correlation, on the input's support, between the attribution and the same method's while layers get
    random weights one after the other from the top (Adebayo et al., 2018, arXiv 1810.03292): on average over that cascade,
    or once its first, the last layers, are random, whichever is larger. A map that stays when the layers that decide
    have forgotten shows what the first layers see, and not what the model answers. Attention maps never see the last
    layers: of them the average alone is judged, and ``attention_alone`` asks whether the answer rests on them."""
    score = record.scores.get("cascading_weights")
    curve = np.zeros((0, 0)) if score is None else score.more.get("curve", np.zeros((0, 0)))
    if score is None or not curve.size or not np.isfinite(curve[:, 1]).any():
        return finding(record, "cascading_weights", "While layers get random weights from the top", threshold)
    if "permuted" in record.facts:
        return finding(record, "cascading_weights", "While layers get random weights from the top", threshold)
    forgot = (
        f"Once the last {score.more['redrawn'][0, 1]:.0%} of the layers are random, or on average while all become so"
    )
    return finding(record, "cascading_weights", forgot, threshold, values=np.fmax(score.values, curve[:, 1]))
