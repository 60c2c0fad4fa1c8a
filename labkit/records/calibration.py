"""Whether a model's probabilities mean what they say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record


@dataclass(frozen=True, kw_only=True)
class Calibration(Record):
    """Probabilities beside frequencies, and beside what a perfectly calibrated model of these scores would show.

    Attributes:
        event: what the probability is of: a class, or "the answer is right" when there are several.
        base_rate: how often the event happened.
        score: probabilities at which the curve is stated, ascending.
        frequency: the CORP estimate of how often the event happens at each (isotonic regression).
        band_low, band_high: where 95 % of such curves lie at each score if the model is perfectly calibrated.
        edges, count: histogram of all probabilities.
        brier: mean squared distance of probability and outcome, with its interval; it equals
            ``miscalibration - discrimination + uncertainty``.
        miscalibration: what recalibration would gain. ``miscalibration95``: its 95 % point under perfect calibration.
        discrimination: what the scores tell beyond the base rate. uncertainty: the base rate's own Brier score.
        ece: expected calibration error, debiased. ``ece95``: its 95 % point under perfect calibration.
        p: how often a perfectly calibrated model has an ECE at least as large.
        log_loss, log_loss_prior: of the model, and of answering the base rate (the class shares) always.
    """

    event: str
    n: int
    base_rate: float
    replicates: int
    score: Annotated[np.ndarray, Dims("point")]
    frequency: Annotated[np.ndarray, Dims("point")]
    band_low: Annotated[np.ndarray, Dims("point")]
    band_high: Annotated[np.ndarray, Dims("point")]
    edges: Annotated[np.ndarray, Dims("edge")]
    count: Annotated[np.ndarray, Dims("bin")]
    brier: float
    brier_low: float
    brier_high: float
    miscalibration: float
    miscalibration95: float
    discrimination: float
    uncertainty: float
    ece: float
    ece95: float
    p: float
    log_loss: float
    log_loss_prior: float
