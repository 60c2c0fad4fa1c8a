from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from labkit.core.intervals import holm
from labkit.core.words import number, p_value
from labkit.records.finding import Finding
from labkit.records.individual_fairness import IndividualFairness


def alike_treated_alike(record: IndividualFairness) -> Iterable[Finding]:
    """How consistent answers are among neighbours, and how much inequality of benefits lies between groups, beside chance.

    What is told, and not judged: who counts as alike is for people to say, and the least index is not the best model's.
    """
    about = {"check": "alike_treated_alike"}
    if record.asked:
        yield Finding(
            status="info",
            says=(
                f"consistency {number(record.consistency, record.low, record.high)} over {record.k} neighbours of "
                f"{record.asked} people; the same answers dealt at random give {number(record.null_mean)} "
                f"({p_value(record.p)})."
            ),
            estimate=record.consistency,
            low=record.low,
            high=record.high,
            n=record.asked,
            subject="consistency",
            **about,  # type: ignore[arg-type]
        )
    else:
        says = "consistency takes the inputs of the same people: features="
        yield Finding(status="not_measured", says=says, subject="consistency", **about)  # type: ignore[arg-type]
    if np.isnan(record.index).all():
        says = "inequality of benefits takes the truth, and positive= with the class that is a benefit"
        yield Finding(status="not_measured", says=says, subject="benefits", **about)  # type: ignore[arg-type]
        return
    corrected = holm(record.between_p)
    for f, feature in enumerate(record.features):
        value, low, high = (float(a[0, f]) for a in (record.between, record.between_low, record.between_high))
        share = value / record.index[0] if record.index[0] else 0.0
        yield Finding(
            status="info",
            says=(
                f"generalised entropy index {number(float(record.index[0]), digits=4)}, {100 * share:.2g} % of it between the "
                f"groups by {feature} ({p_value(float(corrected[0, f]))} after Holm's correction)."
            ),
            estimate=value,
            low=low,
            high=high,
            n=record.n,
            subject=f"benefits by {feature}",
            **about,  # type: ignore[arg-type]
        )
