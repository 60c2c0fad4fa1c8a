"""What a table's training examples tell an architecture that embeds its features, and the attributions' baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.data.split import Split


@dataclass(frozen=True)
class Columns:
    """Interval edges of the numbers and sizes of the categories, for a recipe's ``from_data``.

    A number that takes few values has an edge at each. Another has quantiles of the examples, and quantiles of its
    different values: where most examples are zero, the large differences lie among the few others.

    Attributes:
        values: so many different values are few.
        intervals: between quantiles of either kind, for the other numbers.
    """

    values: int
    intervals: int

    def __call__(self, train: Split) -> Mapping[str, Any]:
        sizes = train.schema.sizes
        return {"edges": [[] if size else self.edges(x) for size, x in zip(sizes, train.x.T)], "sizes": list(sizes)}

    def edges(self, x: np.ndarray) -> list[float]:
        """The rising edges of one number's intervals, from the least to the greatest of (n,) values."""
        different = np.unique(x)
        if len(different) > self.values:
            shares = np.linspace(0, 1, self.intervals + 1)
            different = np.unique([np.quantile(x, shares), np.quantile(different, shares)])
        return different.astype(float).tolist()


def typical(train: Split) -> np.ndarray:
    """The median of each number and the most frequent category of each category."""
    columns = zip(train.schema.sizes, train.x.T)
    return np.array([np.bincount(x.astype(int)).argmax() if size else np.median(x) for size, x in columns], np.float32)
