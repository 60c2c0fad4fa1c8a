from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.core.words import number, p_value
from labkit.records.finding import Finding
from labkit.records.learning_curve import LearningCurve


def double_descent(
    record: LearningCurve,
    *,
    alpha: Annotated[float, Range(1e-4, 0.1, log=True), "chance of a peak where there is none"] = 0.01,
) -> Finding:
    """Whether the test error rises to a peak and falls again along width or epochs, beyond what seeds and test rows alone
    would show; and where that is beside the interpolation threshold. For information: there, more of the same may harm."""
    name, peak = "double_descent", record.peak
    if record.along == "examples" or peak is None:
        why = "one seed" if record.along == "epochs" else f"a curve along {record.along}"
        return Finding(check=name, status="not_applicable", says=f"Whether there is a peak cannot be told from {why}.")
    at, low, high = peak.at
    beside = f"where {record.learner} has as many numbers as equations"
    if np.isnan(at) or peak.p >= alpha:
        seen = (
            "" if np.isnan(at) else f": the highest stands {number(peak.height)} above both sides ({p_value(peak.p)})"
        )
        says = f"No peak of the test {record.metric} is shown along {record.along}{seen}."
    else:
        says = (
            f"The test {record.metric} has a peak at {record.along} {at:,.0f} ({low:,.0f} to {high:,.0f}), "
            f"{number(peak.height)} above the lower points on both sides ({p_value(peak.p)})"
        )
        threshold = f"; at {peak.threshold:,.0f} is {beside}" if np.isfinite(peak.threshold) else ""
        fits = f"; its own rows are fitted from {peak.fits:,.0f} on" if np.isfinite(peak.fits) else ""
        says += f"{threshold}{fits}."
    return Finding(
        check=name,
        status="info",
        says=says,
        estimate=peak.height,
        n=record.n or None,
        criterion=f"a peak counts as shown below p = {alpha:g}",
        thresholds={"alpha": alpha},
    )
