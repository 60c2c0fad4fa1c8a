"""A table as floats: what a mitigation sees of people, and which columns give a group away."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from labkit.data.split import Split

Encode = Callable[[np.ndarray], np.ndarray]


def encoding(train: Split, without: Collection[int] = ()) -> Encode:
    """(n, columns) inputs to (n, d) float64: numbers less the training mean over the training deviation, categories
    one-hot, columns that never vary in training left out. Inputs that are no table are flattened and standardised.

    Args:
        without: columns to leave out.
    """
    sizes = train.schema.sizes or (0,) * int(np.prod(train.x.shape[1:]))
    taken = [i for i in range(len(sizes)) if i not in without]

    def wide(x: np.ndarray) -> np.ndarray:
        flat = x.reshape(len(x), -1)
        parts = [np.eye(sizes[i])[flat[:, i].astype(int)] if sizes[i] else flat[:, i, None] for i in taken]
        return np.concatenate([np.empty((len(x), 0)), *parts], 1).astype(np.float64)

    first = wide(train.x)
    number = np.concatenate([np.full(sizes[i] or 1, not sizes[i]) for i in taken] or [np.ones(0, bool)])
    middle, spread = np.where(number, first.mean(0), 0.0), np.where(number, first.std(0), 1.0)
    kept = np.flatnonzero(first.max(0) > first.min(0))
    return lambda x: (wide(x)[:, kept] - middle[kept]) / spread[kept]


def telling(split: Split, features: Collection[str]) -> list[int]:
    """The columns of a table of which a sensitive feature is a function: the feature itself, its code, an age of its band."""
    if split.schema.modality != "tabular":
        return []
    return [i for i, column in enumerate(split.x.T) if any(_tells(column, split.groups[f]) for f in features)]


def _tells(column: np.ndarray, names: np.ndarray) -> bool:
    known = names != ""
    values, code = np.unique(column[known], return_inverse=True)
    group = np.unique(names[known], return_inverse=True)[1]
    pairs = np.unique(code * (group.max(initial=0) + 1) + group)
    return bool(len(pairs) == len(values) < known.sum() / 5 and group.max(initial=0) > 0)
