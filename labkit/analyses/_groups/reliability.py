"""Probabilities beside frequencies: the curve, its losses, and what a calibrated model of these scores would show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from labkit.core import progress
from labkit.metrics.expected_calibration_error import expected_calibration_error

# Draws under calibration take the scores in so many levels.
LEVELS = 4096
# Replicates are drawn in parts of at most so many numbers, to bound memory.
PART = 2_000_000


@dataclass(frozen=True)
class Scores:
    """What is said and what happened, by distinct score: how many rows, and in how many the event happened."""

    value: np.ndarray
    n: np.ndarray
    hits: np.ndarray


def by_score(chance: np.ndarray, happened: np.ndarray) -> Scores:
    value, code = np.unique(chance, return_inverse=True)
    return Scores(value, np.bincount(code), np.bincount(code, happened).astype(np.int64))


def isotonic(hits: np.ndarray, n: np.ndarray) -> np.ndarray:
    """The frequencies that rise with the score and lie nearest to the observed ones."""
    from scipy.optimize import isotonic_regression

    return np.asarray(isotonic_regression(hits / n, weights=n.astype(float)).x)


def losses(scores: Scores, hits: np.ndarray, curve: np.ndarray) -> tuple[float, float, float]:
    """The Brier scores of the scores as given, of the recalibrated ones, and of the base rate."""
    total = scores.n.sum()

    def loss(chance: np.ndarray | float) -> float:
        return float((hits * (1 - chance) ** 2 + (scores.n - hits) * np.square(chance)).sum() / total)

    return loss(scores.value), loss(curve), loss(float(hits.sum() / total))


def under_calibration(
    scores: Scores, points: np.ndarray, replicates: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Curves at some scores, miscalibration, and calibration error when every event has its stated probability."""
    curves, gains, found = [], [], []
    for hits in drawn(scores, scores.value, replicates, generator):
        found.append(errors(scores.value, scores.n - hits, hits))
        for row in hits:
            curve = isotonic(row, scores.n)
            loss, recalibrated, _ = losses(scores, row, curve)
            curves.append(np.interp(points, scores.value, curve))
            gains.append(loss - recalibrated)
    return np.array(curves), np.array(gains), np.concatenate(found)


def drawn(scores: Scores, chance: np.ndarray, replicates: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """(size, scores) how often the event happens at each score where it has these chances, in parts of the replicates."""
    for size in parts(replicates, 2 * len(scores.value)):
        yield generator.binomial(scores.n, chance, (size, len(scores.n)))


def errors(value: np.ndarray, misses: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """(size,) calibration errors where at these scores the event happened so often, and so often not: (size, scores)."""
    outcome = np.repeat([0, 1], len(value))
    return np.asarray(expected_calibration_error(outcome, np.tile(value, 2), np.concatenate([misses, hits], axis=1)))


def parts(replicates: int, width: int) -> Iterator[int]:
    """The sizes of the parts that replicates are drawn in."""
    size = max(1, PART // width)
    for done in range(0, replicates, size):
        progress.step("calibration", done, replicates)
        yield min(size, replicates - done)
    progress.step("calibration", replicates, replicates)
