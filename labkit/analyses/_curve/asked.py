"""What learning curves and random labels refuse alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from labkit.analyses._halves import same_rows
from labkit.core import resampling
from labkit.core.refused import Refused
from labkit.data.split import Dataset, Split

LEAST = 30


def two_parts(asked: str, data: Any, rows: int, test_rows: int, seed: int) -> Dataset:
    """Training and test data, of each so many rows at most, drawn by the seed.

    Raises:
        Refused: no data set; the same rows twice; fewer than 30 rows in a part; training rows of one class; holes.
    """
    if not isinstance(data, Dataset):
        raise Refused(asked, f"a {type(data).__name__}", "a data set with .train and .test")
    train, test = data
    if same_rows(train.x, test.x):
        raise Refused(asked, f"the same {len(test)} rows to train and to test on", "test rows that are not trained on")
    few = {side: len(part) for side, part in (("training", train), ("test", test)) if len(part) < LEAST}
    if few:
        given = " and ".join(f"{n} {side} rows" for side, n in few.items())
        raise Refused(asked, given, f"{LEAST} rows or more in either part")
    holes = {side: int((~np.isfinite(part.x)).sum()) for side, part in (("training", train), ("test", test))}
    if any(holes.values()):  # a network answers such rows too, always alike
        given = " and ".join(f"{n} {side} values" for side, n in holes.items() if n)
        raise Refused(asked, f"{given} that are no finite numbers", "inputs whose holes are filled from training rows")
    if len(np.unique(train.y)) < 2:
        given = f"training rows of one class, {train.classes[int(train.y[0])]}"
        raise Refused(asked, given, "training rows of two classes or more")
    return Dataset(data.name, _some(asked, train, rows, seed), _some(asked, test, test_rows, seed), data.card)


def fewer(data: Any, chosen: Dataset) -> list[str]:
    """What was left out, in words."""
    pairs = zip(("training", "test"), data, chosen)
    return [f"{len(b):,} of {len(a):,} {side} rows were drawn" for side, a, b in pairs if len(b) < len(a)]


def _some(asked: str, split: Split, rows: int, seed: int) -> Split:
    if len(split) <= rows:
        return split
    return split[np.sort(resampling.stream(seed, asked, split.name).permutation(len(split))[:rows])]
