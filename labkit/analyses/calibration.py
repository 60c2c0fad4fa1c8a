"""Do a model's probabilities mean what they say?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from labkit.analyses._predicted import Statement, positive_class
from labkit.core import intervals, progress, resampling
from labkit.core.refused import Refused
from labkit.metrics.expected_calibration_error import expected_calibration_error
from labkit.records.calibration import Calibration
from labkit.records.predict import Predictions

# The curve is stated at no more than so many scores, the histogram in so many bins.
POINTS = 201
BINS = 20
# Draws under calibration take the scores in so many levels.
LEVELS = 4096
# Replicates are drawn in parts of at most so many numbers, to bound memory.
PART = 2_000_000
# What the probability is of when there are several classes.
ANSWER = "the answer is right"


@dataclass(frozen=True)
class _Scores:
    """What is said and what happened, by distinct score: how many rows, and in how many the event happened."""

    value: np.ndarray
    n: np.ndarray
    hits: np.ndarray


def calibration(
    p: Predictions, *, positive: int | str | None = None, seed: int = 0, replicates: int = 1000
) -> Calibration:
    """Reliability curve, Brier score and its parts, and calibration error, beside their values under calibration.

    The curve is CORP's: frequencies by isotonic regression, no bins (Dimitriadis, Gneiting and Jordan, 2021, arXiv
    2008.03033). Bands, and the 95 % points of miscalibration and of the calibration error, come from outcomes drawn
    with exactly the stated probabilities. For several classes the probability is that of the answer given, unless
    ``positive`` names one class.

    Args:
        positive: the class whose probability is looked at; by default the second of two.

    Raises:
        Refused: predictions without probabilities.
    """
    statement = Statement("calibration", {"positive": positive, "replicates": replicates}, seed, {"data": p})
    if p.proba is None:
        given = "predictions with labels only"
        raise Refused("calibration", given, "probabilities: labkit.predict, or from_frame with score= or proba=")
    event, chance, happened = _event(p, p.proba, positive)
    scores = _by_score(chance, happened)
    curve = _isotonic(scores.hits, scores.n)
    loss, recalibrated, constant = _losses(scores, scores.hits, curve)
    last = len(scores.value) - 1
    at = np.unique(np.linspace(0, last, min(POINTS, last + 1)).round().astype(int))
    points = scores.value[at]
    null = _by_score(resampling.coarse(chance, LEVELS), happened)
    curves, gains, errors = _under_calibration(null, points, replicates, resampling.stream(seed, "calibration", "null"))
    ece = float(expected_calibration_error(happened, chance))
    low, high = intervals.mean((chance - happened) ** 2)
    count, edges = np.histogram(chance, bins=BINS, range=(0, 1))
    band = np.quantile(curves, [0.025, 0.975], axis=0)
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
    )


def _event(p: Predictions, proba: np.ndarray, positive: int | str | None) -> tuple[str, np.ndarray, np.ndarray]:
    """What the probability is of, the probability, and whether it happened."""
    if positive is None and len(p.classes) > 2:
        return ANSWER, proba[np.arange(len(p)), p.label].astype(float), p.label == p.y
    index = 1 if positive is None else positive_class("calibration", p, positive)
    return p.classes[index], proba[:, index].astype(float), p.y == index


def _by_score(chance: np.ndarray, happened: np.ndarray) -> _Scores:
    value, code = np.unique(chance, return_inverse=True)
    return _Scores(value, np.bincount(code), np.bincount(code, happened).astype(np.int64))


def _isotonic(hits: np.ndarray, n: np.ndarray) -> np.ndarray:
    """The frequencies that rise with the score and lie nearest to the observed ones."""
    from scipy.optimize import isotonic_regression

    return np.asarray(isotonic_regression(hits / n, weights=n.astype(float)).x)


def _losses(scores: _Scores, hits: np.ndarray, curve: np.ndarray) -> tuple[float, float, float]:
    """The Brier scores of the scores as given, of the recalibrated ones, and of the base rate."""
    total = scores.n.sum()

    def loss(chance: np.ndarray | float) -> float:
        return float((hits * (1 - chance) ** 2 + (scores.n - hits) * np.square(chance)).sum() / total)

    return loss(scores.value), loss(curve), loss(float(hits.sum() / total))


def _under_calibration(
    scores: _Scores, points: np.ndarray, replicates: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Curves at some scores, miscalibration, and calibration error when every event has its stated probability."""
    outcome, score = np.repeat([0, 1], len(scores.value)), np.tile(scores.value, 2)
    curves, gains, errors = [], [], []
    for size in _parts(replicates, len(score)):
        hits = generator.binomial(scores.n, scores.value, (size, len(scores.n)))
        weight = np.concatenate([scores.n - hits, hits], axis=1)
        errors.append(np.asarray(expected_calibration_error(outcome, score, weight)))
        for row in hits:
            curve = _isotonic(row, scores.n)
            loss, recalibrated, _ = _losses(scores, row, curve)
            curves.append(np.interp(points, scores.value, curve))
            gains.append(loss - recalibrated)
    return np.array(curves), np.array(gains), np.concatenate(errors)


def _parts(replicates: int, width: int) -> Iterator[int]:
    """The sizes of the parts that replicates are drawn in."""
    size = max(1, PART // width)
    for done in range(0, replicates, size):
        progress.step("calibration", done, replicates)
        yield min(size, replicates - done)
    progress.step("calibration", replicates, replicates)


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
