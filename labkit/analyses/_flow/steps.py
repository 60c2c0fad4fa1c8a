"""Gradients at the input as gradients at its steps in time."""

from __future__ import annotations

import numpy as np

from labkit.data.schema import Schema

STEPS = 64  # more are put together


def by_step(schema: Schema, x: np.ndarray, gradient: np.ndarray, padding: int) -> tuple[np.ndarray, int]:
    """(n, lags) norms at the steps of the input counted from each example's last real one, nan where it is shorter; and
    how many entries make a step. No lags where the inputs have no time.

    Word number ``padding``, and steps of a series whose channels are all 0, are padding.
    """
    if schema.modality == "text":
        norms, real = np.sqrt(np.square(gradient).sum(-1)), x != padding
    elif schema.modality == "series":
        norms, real = np.sqrt(np.square(gradient).sum(1)), (x != 0).any(1)
    elif schema.modality == "audio":
        norms, real = np.abs(gradient), np.ones(x.shape, bool)
    else:
        return np.zeros((len(x), 0)), 1
    size = -(-norms.shape[1] // STEPS) if schema.modality == "audio" else 1
    after = real[:, ::-1].cumsum(1)[:, ::-1] - 1  # real steps after each real one
    sums, counts = np.zeros((2, len(x), int(after.max(initial=0)) // size + 1))
    row, place = np.nonzero(real)
    lag = after[row, place] // size
    np.add.at(sums, (row, lag), np.square(norms[row, place]))
    np.add.at(counts, (row, lag), 1)
    with np.errstate(invalid="ignore"):
        return np.sqrt(sums / np.where(counts > 0, counts, np.nan)), size
