from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.core.words import share
from labkit.records.finding import Finding
from labkit.records.random_labels import RandomLabels


def fits_anything(
    record: RandomLabels,
    *,
    fitted: Annotated[float, Range(0.5, 1), "training accuracy from which on labels count as fitted"] = 0.99,
) -> Finding:
    """Whether the learner fits labels that mean nothing: then its training accuracy says nothing of what it knows (Zhang et
    al., 2017, arXiv 1611.03530). For information: most networks do, and many of them generalise all the same."""
    name = "fits_anything"
    if not len(record.share):
        says = "Only a procedure was asked; what it does in training cannot be seen."
        return Finding(check=name, status="not_applicable", says=says)
    at, low, high = (float(v[-1]) for v in (record.train, record.train_low, record.train_high))
    told = f"{share(at, low, high)} of {record.rows:,} training rows as taught when all labels are permuted"
    if at >= fitted:
        means = "it fits labels that mean nothing, so that its training accuracy says nothing of what it knows"
    else:
        means = "trained so, it does not fit labels that mean nothing"
    slower = ""
    if record.share[0] == 0 and np.isfinite(record.steps[[0, -1]]).all():
        slower = f", in {record.steps[-1] / record.steps[0]:.1f} times as many steps as the true labels take"
    return Finding(
        check=name,
        status="info",
        says=f"{record.learner} answers {told}{slower}: {means}.",
        estimate=at,
        low=low,
        high=high,
        n=record.rows,
        criterion=f"from {fitted:g} on labels count as fitted",
        thresholds={"fitted": fitted},
    )
