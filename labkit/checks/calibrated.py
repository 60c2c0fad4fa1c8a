from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np

from labkit.core.method import Range
from labkit.core.words import number, p_value
from labkit.records.calibration import CLASS_MEASURES, Calibration, CalibrationByClass
from labkit.records.finding import Finding, FindingStatus


def calibrated(
    record: Calibration,
    *,
    tolerance: Annotated[float, Range(0.001, 0.5, log=True), "a calibration error that would not matter"] = 0.05,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "p below which it is more than chance"] = 0.005,
    least: Annotated[int, Range(2, 1000), "rows below which nothing is concluded"] = 30,
) -> Iterable[Finding]:
    """Whether the calibration error is no larger than a perfectly calibrated model of these scores would show; and, where
    classes were looked at, whether that of every class is.

    Within chance it meets the criterion only when chance alone stays within the tolerance; with fewer rows it is
    inconclusive. Beyond chance it does not meet it. With its default alpha a calibrated model fails one of the two at most
    one time in 100.
    """
    says = (
        f"calibration error {number(record.ece)} on {record.n} rows; a calibrated model reaches {number(record.ece95)} "
        f"one time in 20; {p_value(record.p)}. Brier score {number(record.brier, record.brier_low, record.brier_high)}, "
        f"of which {number(record.miscalibration)} is miscalibration; "
        f"always answering the base rate gives {number(record.uncertainty)}."
    )
    few = f" {record.replicates} draws cannot tell p below {alpha:g}." if (record.replicates + 1) * alpha <= 1 else ""
    if record.n < least:
        status: FindingStatus = "inconclusive"
        says += f" Fewer than {least} rows settle nothing."
    elif record.p < alpha:
        status = "does_not_meet"
    elif few:
        status, says = "inconclusive", says + few
    elif record.ece95 <= tolerance:
        status = "meets"
    else:
        status = "inconclusive"
        says += f" Too few rows to see an error of {tolerance:g}."
    about: dict[str, Any] = {
        "check": "calibrated",
        "criterion": f"calibration error no larger than chance, and chance within {tolerance:g}",
        "thresholds": {"tolerance": tolerance, "alpha": alpha, "least": least},
    }
    yield Finding(status=status, says=says, estimate=record.ece, n=record.n, subject=record.event, **about)
    if record.by_class is not None:
        yield _classes(record.by_class, tolerance, alpha, few, about)


def _classes(found: CalibrationByClass, tolerance: float, alpha: float, few: str, about: dict[str, Any]) -> Finding:
    about = about | {"subject": "every class"}
    if not found.ranked.any():
        return Finding(status="not_measured", says=f"no class has {found.least} rows.", **about)
    beyond = np.nan_to_num(found.p_corrected, nan=1.0) < alpha
    away = np.where(found.ranked, found.ece - found.ece95, -np.inf)
    m, c = np.unravel_index(int(np.where(beyond | ~beyond.any(), away, -np.inf).argmax()), away.shape)
    says = (
        f"furthest from what a calibrated model shows: {found.classes[c]}, by the {CLASS_MEASURES[m]}, calibration error "
        f"{number(float(found.ece[m, c]))} on {found.n[m, c]} rows, where a calibrated model reaches "
        f"{number(float(found.ece95[m, c]))} one time in 20 ({p_value(float(found.p_corrected[m, c]))} for all classes at "
        f"once). Mean over classes {number(float(found.mean_ece[0]))}, one time in 20 {number(float(found.mean_ece95[0]))}."
    )
    if beyond.any():
        status: FindingStatus = "does_not_meet"
        names = [found.classes[i] for i in np.flatnonzero(beyond.any(0))]
        says += f" Beyond chance: {', '.join(names[:12])}{', and more' if len(names) > 12 else ''}."
    elif few:
        status, says = "inconclusive", says + few
    elif found.ece95[found.ranked].max() <= tolerance:
        status = "meets"
    else:
        status, says = "inconclusive", says + f" Too few rows to see an error of {tolerance:g} in every class."
    left = int((~found.ranked[1]).sum())
    if left:
        says += f" Of {left} classes fewer than {found.least} answers are known: these are shown, not judged."
    return Finding(status=status, says=says, estimate=float(found.ece[m, c]), n=int(found.n[m, c]), **about)
