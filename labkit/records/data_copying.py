"""Whether a generative model copies what it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

BySpace = Annotated[np.ndarray, Dims("space")]
Ends = Annotated[np.ndarray, Dims("space", "end")]
Tests = Annotated[np.ndarray, Dims("space", "test")]
Pairs = Annotated[np.ndarray, Dims("pair")]
Pictures = Annotated[np.ndarray, Dims("pair", "...")]


@dataclass(frozen=True, kw_only=True)
class DataCopying(Record):
    """Samples beside training rows and held-out rows, in one or more spaces.

    Distances are root mean squares of the difference of a value. Along the axis "end" stand a value and the ends of its
    95 % interval.

    Attributes:
        spaces: what rows are compared by. n, n_train, n_held: samples, training rows and held-out rows.
        trained: rows that the model was trained on, of which the training rows here may be a part.
        distance, other: (space, sample) to the nearest training row, and to the nearest held-out row.
        usual: (space, held) from a held-out row to the nearest training row.
        z, c_t: the rank statistic of ``distance`` against ``usual``, over all and over cells (Meehan et al., 2020): far
            below 0 where samples lie nearer to training rows than held-out rows do, whether copied or merely typical.
        area: (space, end) how often a sample lies nearer than a held-out row.
        near: (space, end) share of samples nearer to a training row than 5 % of the held-out rows.
        chance: share of training rows among all rows: how often the nearest one is a training row by chance.
        share, share_p: (space, end) how many samples have a training row as their nearest, and how often chance alone
            gives so many.
        tests: "all" samples, the "closest" twentieth of samples and held-out rows, and one for each cell.
        size: (space, test) samples. ahead, low, high: how often the distance to training rows, as a share of that to
            held-out ones, is smaller for a sample than for a held-out row, 1/2 by chance; and the ends of the interval.
        p: (space, test) how often chance alone gives as much, were samples drawn as the data are; nan for small cells.
        cell_z: (space, cell) a cell's rank statistic, of which ``c_t`` is the mean weighted by held-out rows.
        close: (space, end) share of samples for which it is smaller than for all but 5 % of the held-out rows: at most so
            many samples are copies.
        pair, pair_train: numbers of the samples that lie nearest to a training row, and of that row, in the first space;
            pair_distance, pair_other: how far it is, and how far the nearest held-out row.
        pictures, train_pictures, held_pictures: of them, where they are images that may be shown.
    """

    spaces: tuple[str, ...]
    n: int
    n_train: int
    n_held: int
    trained: int
    distance: Annotated[np.ndarray, Dims("space", "sample")]
    other: Annotated[np.ndarray, Dims("space", "sample")]
    usual: Annotated[np.ndarray, Dims("space", "held")]
    z: BySpace
    c_t: BySpace
    area: Ends
    near: Ends
    chance: float
    tests: tuple[str, ...]
    size: Tests
    share: Ends
    share_p: BySpace
    ahead: Tests
    low: Tests
    high: Tests
    p: Tests
    cell_z: Annotated[np.ndarray, Dims("space", "cell")]
    close: Ends
    pair: Pairs
    pair_train: Pairs
    pair_distance: Pairs
    pair_other: Pairs
    pictures: Pictures | None = None
    train_pictures: Pictures | None = None
    held_pictures: Pictures | None = None
