"""Test scores for a card, each with its 95 % interval over test examples."""

from __future__ import annotations

import math

import numpy as np

from labkit.core.intervals import wilson
from labkit.records.predict import Predictions


def measure(predictions: Predictions, name: str) -> tuple[float, float, float]:
    """Score, lower and upper end: "accuracy" with Wilson's interval, or "auc" of class 1 with DeLong's."""
    if name == "auc":
        assert predictions.proba is not None
        return auc(predictions.y, predictions.proba[:, 1])
    hits, n = int((predictions.label == predictions.y).sum()), len(predictions)
    low, high = wilson(hits, n)
    return hits / n, float(low), float(high)


def auc(y: np.ndarray, score: np.ndarray) -> tuple[float, float, float]:
    """Area under the ROC curve of class 1 with its 95 % interval on the logit scale.

    The variance is that of E. DeLong, D. DeLong and D. Clarke-Pearson, 1988, doi 10.2307/2531595, from the share of
    the other class that each example outranks.
    """
    from scipy.stats import rankdata

    positive, negative = score[y == 1], score[y == 0]
    m, n = len(positive), len(negative)
    ranks = rankdata(np.concatenate([positive, negative]))
    outranked = (ranks[:m] - rankdata(positive)) / n
    outranking = 1 - (ranks[m:] - rankdata(negative)) / m
    area = float(outranked.mean())
    spread = math.sqrt(outranked.var(ddof=1) / m + outranking.var(ddof=1) / n)
    if not 0 < area < 1 or spread == 0:
        return area, area, area
    logit, half = math.log(area / (1 - area)), 1.959964 * spread / (area * (1 - area))
    return area, 1 / (1 + math.exp(half - logit)), 1 / (1 + math.exp(-half - logit))
