"""Handwritten digits, 8 x 8: scikit-learn's copy of the UCI test set, for tests and quick looks."""

from __future__ import annotations

import numpy as np

from labkit.data.schema import Schema
from labkit.data.split import Dataset, Split


def digits() -> Dataset:
    """1,797 grey images of 8 x 8 pixels from 0 to 1, ten classes: 1,297 to train on and 500 to test on.

    Source: E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning Repository (CC BY 4.0), as shipped in scikit-learn.
    """
    from sklearn.datasets import load_digits

    raw = load_digits()
    x = (raw.images / 16).astype(np.float32)[:, None]
    y = raw.target.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(y))
    schema = Schema("image", "the digit shown", (1, 8, 8), bounds=(0.0, 1.0))
    classes = tuple("0123456789")

    def part(rows: np.ndarray, name: str) -> Split:
        return Split(x[rows], y[rows], schema, classes, f"digits/{name}")

    card = {"source": "scikit-learn load_digits", "licence": "CC BY 4.0", "citation": "Alpaydin and Kaynak, 1998"}
    return Dataset("digits", part(order[:1297], "train"), part(order[1297:], "test"), card)
