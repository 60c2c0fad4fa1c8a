"""Whether a model's probabilities mean what they say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record, check_dims, freeze

PerGroup = Annotated[np.ndarray, Dims("group")]
PerFeature = Annotated[np.ndarray, Dims("measure", "feature")]
PerClass = Annotated[np.ndarray, Dims("measure", "class")]
MEASURES = ("excess", "calibration error")
CLASS_MEASURES = ("probability of the class", "answers of the class")


@dataclass(frozen=True, kw_only=True)
class CalibrationByGroup:
    """Calibration in groups of people. Not measured is nan. Intervals are at 95 %.

    Attributes:
        features: what people are grouped by. group, feature_of: each group's name and the index of its feature.
        n, unknown: people in each group; those of no known group, by feature.
        least: people that a group needs to be compared; ranked: whether it has them.
        stated, happened: the mean probability, and how often it happened.
        excess, excess_low, excess_high: happened less stated: above 0 the model says too little, below too much.
        ece, ece_low, ece_high: expected calibration error, debiased, with a bootstrap interval in ranked groups. ece95: its
            95 % point in this group under perfect calibration; p, p_holm: how often a calibrated model has one as large,
            and corrected for all ranked groups.
        score, frequency: scores in each group, ascending, and the isotonic estimate of how often it happens at each.
        highest, lowest: for each measure ("excess", "calibration error") and feature the ranked groups that are furthest
            apart; -1 where fewer than two are ranked.
        difference, difference_low, difference_high: between them, with an interval that allows for having picked them.
            null95: what groups exceed in 5 % of draws in which one curve from score to frequency holds for all of them.
        p_apart, p_apart_holm: how often such draws have a pair as far apart; and corrected for measures and features.
    """

    features: tuple[str, ...]
    group: PerGroup
    feature_of: PerGroup
    n: PerGroup
    unknown: Annotated[np.ndarray, Dims("feature")]
    least: int
    ranked: PerGroup
    stated: PerGroup
    happened: PerGroup
    excess: PerGroup
    excess_low: PerGroup
    excess_high: PerGroup
    ece: PerGroup
    ece_low: PerGroup
    ece_high: PerGroup
    ece95: PerGroup
    p: PerGroup
    p_holm: PerGroup
    score: Annotated[np.ndarray, Dims("group", "point")]
    frequency: Annotated[np.ndarray, Dims("group", "point")]
    highest: PerFeature
    lowest: PerFeature
    difference: PerFeature
    difference_low: PerFeature
    difference_high: PerFeature
    null95: PerFeature
    p_apart: PerFeature
    p_apart_holm: PerFeature

    def __post_init__(self) -> None:
        freeze(self)
        check_dims(self)


@dataclass(frozen=True, kw_only=True)
class CalibrationByClass:
    """Calibration of every class in two measures. Not measured is nan. Intervals are at 95 %.

    The first measure is the probability of the class over all rows, the class against the rest; the second its probability
    among the rows in which it is the most probable, so among its answers (top-label calibration: Gupta and Ramdas, 2021,
    arXiv 2107.08353).

    Attributes:
        classes: their names. n: rows behind each. least: rows that a class needs to be judged; ranked: whether it has them.
        stated, happened: the mean probability, and how often the class was true.
        excess, excess_low, excess_high: happened less stated: above 0 the model says too little, below too much.
        ece, ece95: expected calibration error, debiased, and its 95 % point under perfect calibration.
        p, p_corrected: how often a calibrated model has one as large; and how often it has one as far out in any ranked
            class of either measure.
        mean_ece, mean_ece95, mean_p: the mean error over classes, in the second measure weighed by their rows, its 95 %
            point and its p: the classwise calibration error (Kumar, Liang and Ma, 2019, arXiv 1909.10155, section 2, there
            in squares) and the top-label error.
    """

    classes: tuple[str, ...]
    n: PerClass
    least: int
    ranked: PerClass
    stated: PerClass
    happened: PerClass
    excess: PerClass
    excess_low: PerClass
    excess_high: PerClass
    ece: PerClass
    ece95: PerClass
    p: PerClass
    p_corrected: PerClass
    mean_ece: Annotated[np.ndarray, Dims("measure")]
    mean_ece95: Annotated[np.ndarray, Dims("measure")]
    mean_p: Annotated[np.ndarray, Dims("measure")]

    def __post_init__(self) -> None:
        freeze(self)
        check_dims(self)


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
        by_group, by_class: the same in groups of people, and of every class, where they were asked for.
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
    by_group: CalibrationByGroup | None = None
    by_class: CalibrationByClass | None = None
