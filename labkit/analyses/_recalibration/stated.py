"""What is said of probabilities: losses with intervals, calibration errors beside their nulls, and changes by row."""

from __future__ import annotations

from typing import Any

import numpy as np

from labkit.analyses._groups.classes import Classes
from labkit.analyses._groups.reliability import by_score, drawn, errors, isotonic, under_calibration
from labkit.analyses._recalibration.fits import log_loss
from labkit.core import intervals, resampling
from labkit.metrics.expected_calibration_error import expected_calibration_error

# Draws take the scores in so many levels; curves are stated at so many probabilities, their band is of so many draws.
LEVELS, POINTS, CURVES = 256, 51, 300


def event(proba: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The probability that is looked at, and whether it happened: the second of two classes, or the answer being right."""
    if proba.shape[1] == 2:
        return proba[:, 1].astype(float), y == 1
    return proba.max(1).astype(float), proba.argmax(1) == y


def brier(proba: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n,) squared distances from the outcome, summed over classes and halved."""
    return np.asarray(((proba - np.eye(proba.shape[1])[y]) ** 2).sum(1) / 2)


def of(proba: np.ndarray, before: np.ndarray, y: np.ndarray, replicates: int, seed: int, name: str) -> dict[str, Any]:
    """Every number of one method: probabilities after it, and before."""
    stream = resampling.stream(seed, "recalibrate", name)
    chance, happened = event(proba, y)
    scores = by_score(resampling.coarse(chance, LEVELS), happened)
    ece = float(expected_calibration_error(happened, chance))
    null = np.concatenate(
        [errors(scores.value, scores.n - h, h) for h in drawn(scores, scores.value, replicates, stream)]
    )
    p = resampling.share_as_large(null, ece)
    answer, first = proba.argmax(1), before.argmax(1)
    found: dict[str, Any] = {
        "ece": ece,
        "ece95": float(np.quantile(null, 0.95)),
        "p": p,
        "classwise": ece,
        "classwise95": float(np.quantile(null, 0.95)),
        "classwise_p": p,
        "accuracy": float((answer == y).mean()),
        "changed": int((answer != first).sum()),
    }
    if proba.shape[1] > 2:  # of two classes either mirrors the other
        found |= _classwise(proba, y, replicates, stream)
    for what, loss in (("log_loss", log_loss), ("brier", brier)):
        after, change = loss(proba, y), loss(proba, y) - loss(before, y)
        for label, rows in ((what, after), (f"{what}_change", change)):
            low, high = intervals.skewed_mean(rows)
            found |= {label: float(rows.mean()), f"{label}_low": low, f"{label}_high": high}
        found[f"{what}_low"] = max(found[f"{what}_low"], 0.0)
    gained, lost = (int(((a == y) & (b != y)).sum()) for a, b in ((answer, first), (first, answer)))
    ends = (0.0, 0.0) if name == "none" else tuple(map(float, intervals.paired(gained, lost, len(y))))
    found["accuracy_change"] = (gained - lost) / len(y)
    return found | dict(zip(("accuracy_change_low", "accuracy_change_high"), ends))


def _classwise(proba: np.ndarray, y: np.ndarray, replicates: int, stream: np.random.Generator) -> dict[str, float]:
    each = Classes(proba, y, replicates, stream)
    joint = each.null[:, 0].mean(1)
    mean = [expected_calibration_error(y == c, proba[:, c].astype(float)) for c in range(proba.shape[1])]
    return {
        "classwise": float(np.mean(mean)),
        "classwise95": float(np.quantile(joint, 0.95)),
        "classwise_p": resampling.share_as_large(joint, float(each.seen[0].mean())),
    }


def curves(proba: list[np.ndarray], y: np.ndarray, seed: int) -> dict[str, Any]:
    """How often the event happens at each probability of a grid, after each method, and the band of the last."""
    grid, step = np.linspace(0, 1, POINTS), 1 / (POINTS - 1)
    lines = []
    for one in proba:
        scores = by_score(*event(one, y))
        there = (grid > scores.value[0] - step) & (grid < scores.value[-1] + step)
        lines.append(np.where(there, np.interp(grid, scores.value, isotonic(scores.hits, scores.n)), np.nan))
    chance, happened = event(proba[-1], y)
    scores = by_score(resampling.coarse(chance, LEVELS), happened)
    drawn, _, _ = under_calibration(scores, grid, CURVES, resampling.stream(seed, "recalibrate", "band"))
    low, high = np.where(np.isnan(lines[-1]), np.nan, np.quantile(drawn, (0.025, 0.975), axis=0))
    return {"grid": grid, "frequency": np.array(lines), "band_low": low, "band_high": high}
