"""Does the picture depend on what the labels mean?"""

from __future__ import annotations

from typing import Annotated

from labkit.checks._forgetting import finding
from labkit.core.method import Range
from labkit.records.explain import Explanation
from labkit.records.finding import Finding


def randomized_labels(
    record: Explanation,
    *,
    threshold: Annotated[float, Range(0, 1), "correlation from which a map looks like that of permuted labels"] = 0.7,
) -> Finding:
    """Spearman's correlation, on the input's support, between the attribution and the same method's on a copy of the
    model that was trained on until it gave permuted labels (Adebayo et al., 2018, arXiv 1810.03292)."""
    score, learned = record.scores.get("randomized_labels"), ""
    if score is not None and not score.not_applicable:
        shares = {name: float(score.more[name][0]) for name in ("learned", "kept")}
        learned = f"the copy gives {shares['learned']:.0%} of the permuted labels and {shares['kept']:.0%} of its own; "
    return finding(record, "randomized_labels", "Trained on permuted labels", threshold, learned)
