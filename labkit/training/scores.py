"""Test scores for a card, each with its 95 % interval over test examples."""

from __future__ import annotations

from labkit.core.intervals import delong, wilson
from labkit.records.predict import Predictions


def measure(predictions: Predictions, name: str) -> tuple[float, float, float]:
    """Score, lower and upper end: "accuracy" with Wilson's interval, or "auc" of class 1 with DeLong's."""
    if name == "auc":
        assert predictions.proba is not None
        return delong(predictions.y, predictions.proba[:, 1])
    hits, n = int((predictions.label == predictions.y).sum()), len(predictions)
    low, high = wilson(hits, n)
    return hits / n, float(low), float(high)
