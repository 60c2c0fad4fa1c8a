"""Does the model see its inputs as it was trained to?"""

from __future__ import annotations

from typing import Annotated

from labkit.core.method import Range
from labkit.records.finding import Finding
from labkit.records.robustness_curve import RobustnessCurve


def input_scale(
    record: RobustnessCurve,
    *,
    gain: Annotated[float, Range(0, 1), "share of rows that another scale may gain"] = 0.03,
    alpha: Annotated[float, Range(0, 1), "level of the test"] = 0.001,
) -> Finding:
    """Whether the model is more often right on rescaled inputs than on its own: a normalisation is missing, or there twice.

    The clean rows were standardized by channel, and stretched to 0..1 where they lie elsewhere. A gain counts where the
    exact test of McNemar (1947, doi 10.1007/BF02295996) leaves no doubt.
    """
    from scipy.stats import binomtest

    criterion = f"no rescaling makes the model right on {gain:.0%} more rows"
    thresholds = {"gain": gain, "alpha": alpha}
    if not record.scales:
        says = "Only images under a norm are rescaled."
        return Finding(check="input_scale", status="not_applicable", says=says, criterion=criterion)
    n, found = len(record), []
    for name, won, lost in zip(record.scales, record.scale_gained.tolist(), record.scale_lost.tolist()):
        sure = won + lost > 0 and binomtest(won, won + lost, alternative="greater").pvalue < alpha
        if sure and won - lost > gain * n:
            found.append(f"{name} inputs it is right on {won - lost} more of {n} rows")
    says = "No other scale of the inputs makes the model more often right."
    if found:
        says = (
            f"On {', on '.join(found)}: a normalisation is missing or applied twice, and budgets are in another unit."
        )
    return Finding(
        check="input_scale",
        status="does_not_meet" if found else "meets",
        says=says,
        estimate=float((record.scale_gained - record.scale_lost).max()) / n,
        n=n,
        criterion=criterion,
        thresholds=thresholds,
    )
