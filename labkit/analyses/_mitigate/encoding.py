"""A table as floats: what a mitigation sees of people."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from labkit.data.split import Split

Encode = Callable[[np.ndarray], np.ndarray]


def encoding(train: Split) -> Encode:
    """(n, columns) inputs to (n, d) float64: numbers less the training mean over the training deviation, categories
    one-hot, columns that never vary in training left out. Inputs that are no table are flattened and standardised."""
    sizes = train.schema.sizes or (0,) * int(np.prod(train.x.shape[1:]))

    def wide(x: np.ndarray) -> np.ndarray:
        flat = x.reshape(len(x), -1)
        parts = [np.eye(size)[flat[:, i].astype(int)] if size else flat[:, i, None] for i, size in enumerate(sizes)]
        return np.concatenate(parts, 1).astype(np.float64)

    first = wide(train.x)
    number = np.concatenate([np.full(size or 1, not size) for size in sizes])
    middle, spread = np.where(number, first.mean(0), 0.0), np.where(number, first.std(0), 1.0)
    kept = np.flatnonzero(np.ptp(first, axis=0) > 0)
    return lambda x: (wide(x)[:, kept] - middle[kept]) / spread[kept]
