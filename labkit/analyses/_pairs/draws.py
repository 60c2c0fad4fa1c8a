"""One metric of two models on the same rows, when each row's two answers are exchanged at random or rows drawn anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from labkit.analyses._measure import PART, Measure
from labkit.core import progress, resampling

# Rows are put together where so few different pairs of answers stand for them.
FEW = 64


class Pair:
    """One metric of two models on some rows. Differences are the second's value less the first's.

    Args:
        first, other: the metric on either.
        rows: positions of the rows.
    """

    def __init__(self, first: Measure, other: Measure, rows: np.ndarray) -> None:
        self.measure, self.rows = first, rows
        sides = [{k: v[rows] for k, v in m.columns.items()} for m in (first, other)]
        self.code: np.ndarray | None = None
        self.count = np.ones(len(rows), np.int64)
        if first.weighs:
            key = np.stack([column for side in sides for column in side.values()], 1)
            _, at, code, count = np.unique(key, axis=0, return_index=True, return_inverse=True, return_counts=True)
            if len(at) <= FEW:
                self.code, self.count = code.ravel(), count
                sides = [{k: v[at] for k, v in side.items()} for side in sides]
        self.sides = sides
        self.columns = {k: np.concatenate([side[k] for side in sides]) for k in sides[0]}

    def value(self) -> np.ndarray:
        """(2,) the metric of either model."""
        return self._sides(self.count[None])[0]

    def exchanged(self, swaps: np.ndarray) -> np.ndarray:
        """(draws,) differences when the two answers of each row where ``swaps`` (draws, all rows) is true change places."""
        taken = swaps[:, self.rows]
        if self.code is not None:
            within = np.zeros((len(self.rows), len(self.count)), np.float32)
            within[np.arange(len(self.rows)), self.code] = 1
            taken = np.rint(taken.astype(np.float32) @ within).astype(np.int64)
        kept = self.count - taken
        return self._of(np.concatenate([taken, kept], 1)) - self._of(np.concatenate([kept, taken], 1))

    def bootstrap(self, replicates: int, generator: np.random.Generator) -> np.ndarray:
        """(replicates,) differences on rows drawn with replacement, both answers of a row together."""
        size, draws = max(1, PART // len(self.count)), []
        for done in range(0, replicates, size):
            progress.step(f"paired bootstrap of {self.measure.name}", done, replicates)
            some = min(size, replicates - done)
            sides = self._sides(resampling.bootstrap_counts(self.count, some, generator))
            draws.append(sides[:, 1] - sides[:, 0])
        return np.concatenate(draws)

    def _sides(self, counts: np.ndarray) -> np.ndarray:
        """(draws, 2) the metric of either model on rows counted so often."""
        return np.stack([_weighed(self.measure, side, counts) for side in self.sides], 1)

    def _of(self, weight: np.ndarray) -> np.ndarray:
        return _weighed(self.measure, self.columns, weight)


def resampled(
    measures: Sequence[Measure], rows: np.ndarray, replicates: int, generator: np.random.Generator
) -> np.ndarray:
    """(measure, replicates) of several models' metric on rows drawn with replacement, the same for all of them."""
    columns = [{k: v[rows] for k, v in m.columns.items()} for m in measures]
    size, draws = max(1, PART // len(rows)), []
    for done in range(0, replicates, size):
        progress.step(f"rows drawn anew for {measures[0].name}", done, replicates)
        counts = resampling.bootstrap_counts(np.ones(len(rows), np.int64), min(size, replicates - done), generator)
        draws.append(np.stack([_weighed(m, c, counts) for m, c in zip(measures, columns)]))
    return np.concatenate(draws, 1)


def _weighed(measure: Measure, columns: dict[str, np.ndarray], weight: np.ndarray) -> np.ndarray:
    """(draws,) a metric of rows that count so often."""
    if measure.weighs:
        return np.asarray(measure.function(**columns, weight=weight, **measure.options), float)
    return np.array([measure.of({k: np.repeat(v, w) for k, v in columns.items()}) for w in weight])


def flips(n: int, draws: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """(draws, n) fair coins, in parts so small that two numbers a row and draw stay within memory."""
    size = max(1, PART // (2 * n))
    for done in range(0, draws, size):
        progress.step("answers exchanged at random", done, draws)
        yield generator.random((min(size, draws - done), n), np.float32) < 0.5
