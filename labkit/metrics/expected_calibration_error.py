from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.metrics import Binary, Chances


def expected_calibration_error(
    y_true: Binary,
    y_proba: Chances,
    weight: np.ndarray | None = None,
    *,
    bins: Annotated[int, Range(2, 100), "bins of about equal mass, cut between different values"] = 15,
) -> float:
    """The mean distance between probability and frequency over bins, debiased, in [0, 1]; lower is better.

    The plain estimate is above 0 for a calibrated model, since each bin's frequency is noisy. What that noise adds is
    estimated (each frequency taken as normal about the one observed) and subtracted, as Kumar, Liang and Ma, 2019
    (arXiv 1909.10155, section 5) propose; never below 0. About half of the bias is left: read it beside its null.
    Equal probabilities share a bin, so row order cannot matter.
    """
    from scipy.special import erf

    values, code = np.unique(y_proba, return_inverse=True)
    w = np.ones(len(y_true)) if weight is None else np.asarray(weight, float)
    lead = w.shape[:-1]
    rows = w.reshape(-1, w.shape[-1])
    mass = _sums(rows, code, len(values))
    total = mass.sum(1, keepdims=True)
    middle = np.divide(np.cumsum(mass, 1) - mass / 2, total, out=np.zeros_like(mass), where=total > 0)
    chosen = np.minimum((middle * bins).astype(np.int64), bins - 1) + np.arange(len(rows))[:, None] * bins

    def binned(amount: np.ndarray) -> np.ndarray:
        return np.bincount(chosen.ravel(), amount.ravel(), len(rows) * bins).reshape(-1, bins)

    n = binned(mass)
    safe = np.where(n > 0, n, 1)
    frequency = binned(_sums(rows * y_true, code, len(values))) / safe
    away = np.abs(binned(mass * values) / safe - frequency)
    noise = np.sqrt(frequency * (1 - frequency) / safe)
    ratio = away / np.where(noise > 0, noise, 1) / np.sqrt(2)
    folded = np.where(noise > 0, noise * np.sqrt(2 / np.pi) * np.exp(-(ratio**2)) + away * erf(ratio), away)
    share = np.divide(n, total, out=np.full(n.shape, np.nan), where=total > 0)
    result = np.maximum((share * (2 * away - folded)).sum(1), 0).reshape(lead)
    return result if result.ndim else float(result)  # type: ignore[return-value]


def _sums(rows: np.ndarray, code: np.ndarray, size: int) -> np.ndarray:
    """(replicates, values): the weight on each distinct value."""
    flat = (code[None] + np.arange(len(rows))[:, None] * size).ravel()
    return np.bincount(flat, rows.ravel(), len(rows) * size).reshape(-1, size)
