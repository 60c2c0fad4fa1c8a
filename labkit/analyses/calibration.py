"""Do a model's probabilities mean what they say?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labkit.analyses._groups.calibrated import by_group
from labkit.analyses._groups.classes import by_class as of_classes
from labkit.analyses._groups.grouping import grouping
from labkit.analyses._groups.reliability import LEVELS, by_score, isotonic, losses, under_calibration
from labkit.analyses._predicted import Statement, positive_class
from labkit.core import intervals, resampling
from labkit.core.refused import Refused
from labkit.metrics.expected_calibration_error import expected_calibration_error
from labkit.records.calibration import Calibration
from labkit.records.predict import Predictions

# The curve is stated at no more than so many scores, the histogram in so many bins.
POINTS = 201
BINS = 20
# What the probability is of when there are several classes.
ANSWER = "the answer is right"


def calibration(
    p: Predictions,
    *,
    by: str | Sequence[str | tuple[str, ...]] = (),
    by_class: bool = False,
    positive: int | str | None = None,
    seed: int = 0,
    replicates: int = 1000,
    least: int = 30,
) -> Calibration:
    """Reliability curve, Brier score and its parts, and calibration error, beside their values under calibration.

    The curve is CORP's: frequencies by isotonic regression, no bins (Dimitriadis, Gneiting and Jordan, 2021, arXiv
    2008.03033). Bands, and the 95 % points of miscalibration and of the calibration error, come from outcomes drawn
    with exactly the stated probabilities. For several classes the probability is that of the answer given, unless
    ``positive`` names one class.

    By group: what is stated and how often it happens, each group's calibration error beside what a calibrated model would
    show there, and the largest differences between groups beside those where one curve from score to frequency holds for
    all (G. Pleiss et al., 2017, arXiv 1709.02012: calibration for each group, and what it cannot be had with).

    By class: the probability of each class against the rest, and the confidence of its answers, each beside draws in which
    all classes are calibrated at once; their means are the classwise and the top-label calibration error.

    Args:
        by: sensitive features; a tuple of several means their intersection.
        by_class: whether every class is looked at too.
        positive: the class whose probability is looked at; by default the second of two.
        least: groups and classes with fewer rows are shown and not compared.

    Raises:
        Refused: predictions without probabilities; an unknown feature, or one with more than 20 small groups.
    """
    options = {"positive": positive, "replicates": replicates} | ({"least": least} if by or by_class else {})
    options |= {"by_class": True} if by_class else {}
    statement = Statement("calibration", options, seed, {"data": p})
    if p.proba is None:
        given = "predictions with labels only"
        raise Refused("calibration", given, "probabilities: labkit.predict, or from_frame with score= or proba=")
    event, chance, happened = _event(p, p.proba, positive)
    scores = by_score(chance, happened)
    curve = isotonic(scores.hits, scores.n)
    loss, recalibrated, constant = losses(scores, scores.hits, curve)
    last = len(scores.value) - 1
    at = np.unique(np.linspace(0, last, min(POINTS, last + 1)).round().astype(int))
    points = scores.value[at]
    null = by_score(resampling.coarse(chance, LEVELS), happened)
    curves, gains, errors = under_calibration(null, points, replicates, resampling.stream(seed, "calibration", "null"))
    ece = float(expected_calibration_error(happened, chance))
    low, high = intervals.mean((chance - happened) ** 2)
    count, edges = np.histogram(chance, bins=BINS, range=(0, 1))
    band = np.quantile(curves, [0.025, 0.975], axis=0)
    features = [grouping("calibration", p, one) for one in ([by] if isinstance(by, str) else by)]
    own, prior = _log_losses(p, p.proba, chance if event != ANSWER else None, happened)
    return Calibration(
        provenance=statement.provenance(),
        warnings=p.warnings,
        event=event,
        n=len(p),
        base_rate=float(happened.mean()),
        replicates=replicates,
        score=points,
        frequency=curve[at],
        band_low=band[0],
        band_high=band[1],
        edges=edges,
        count=count,
        brier=loss,
        brier_low=max(low, 0.0),
        brier_high=min(high, 1.0),
        miscalibration=loss - recalibrated,
        miscalibration95=float(np.quantile(gains, 0.95)),
        discrimination=constant - recalibrated,
        uncertainty=constant,
        ece=ece,
        ece95=float(np.quantile(errors, 0.95)),
        p=resampling.share_as_large(errors, ece),
        log_loss=own,
        log_loss_prior=prior,
        by_group=by_group(chance, happened, features, least, replicates, seed) if features else None,
        by_class=of_classes(p, p.proba, least, replicates, resampling.stream(seed, "calibration", "classes"))
        if by_class
        else None,
    )


def _event(p: Predictions, proba: np.ndarray, positive: int | str | None) -> tuple[str, np.ndarray, np.ndarray]:
    """What the probability is of, the probability, and whether it happened."""
    if positive is None and len(p.classes) > 2:
        return ANSWER, proba[np.arange(len(p)), p.label].astype(float), p.label == p.y
    index = 1 if positive is None else positive_class("calibration", p, positive)
    return p.classes[index], proba[:, index].astype(float), p.y == index


def _log_losses(
    p: Predictions, proba: np.ndarray, chance: np.ndarray | None, happened: np.ndarray
) -> tuple[float, float]:
    """The mean of -log P(what happened): the model's, and that of always answering how often each thing happened."""
    if chance is None:
        own, share = proba[np.arange(len(p)), p.y], (np.bincount(p.y, minlength=len(p.classes)) / len(p))[p.y]
    else:
        base = happened.mean()
        own, share = np.where(happened, chance, 1 - chance), np.where(happened, base, 1 - base)
    tiny = np.finfo(float).eps
    return float(-np.log(np.maximum(own, tiny)).mean()), float(-np.log(np.maximum(share, tiny)).mean())
