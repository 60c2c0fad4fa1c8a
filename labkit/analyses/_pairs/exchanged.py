"""What the differences of like models are: those that arise when the two answers of each row change places by a coin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labkit.analyses._pairs.draws import Pair, flips
from labkit.core import resampling


@dataclass(frozen=True)
class Exchanged:
    """What exchanging answers tells of every metric and cell.

    Attributes:
        p: two-sided, of each difference by itself.
        worse, better: p of b being no worse (no better) by more than the margin, corrected for all judged cells.
        alarms, pairs: of so many pairs of like models, how many were called worse somewhere.
    """

    p: np.ndarray
    worse: np.ndarray
    better: np.ndarray
    alarms: int
    pairs: int


def exchanged(
    drawn: Sequence[Sequence[Pair]],
    size: np.ndarray,
    better: np.ndarray,
    ranked: np.ndarray,
    *,
    margin: float,
    alarm: float,
    replicates: int,
    generator: np.random.Generator,
) -> Exchanged:
    """Models that are as good as each other give answers that may be exchanged (approximate randomization: Noreen, 1989,
    ISBN 0471611360), and the largest of all differences, each beside its own spread, corrects for their number
    (Westfall and Young, 1993, ISBN 0471557617). Half of the draws give that null; the other half are pairs of like
    models, on which alarms are counted.

    Args:
        drawn: for each metric and cell, what exchanges its answers; the first cell is everybody.
        size: (metric, cell) differences b - a. better: (metric,) 1, -1 or 0. ranked: (cell,) which are judged.
    """
    null = _null(drawn, 2 * replicates, generator)
    alone = _each(np.abs(null), np.abs(size))
    null = np.where(np.isnan(null), 0.0, null) * -better[:, None, None]
    scale = np.sqrt((null**2).mean(-1))
    judged = (scale > 0) & ~np.isnan(size) & ranked
    scale = np.where(judged, scale, np.inf)[..., None]
    if not judged.any():
        nothing = np.where(np.isnan(size), np.nan, 1.0)
        return Exchanged(alone, nothing, nothing, 0, replicates)

    def largest(harm: np.ndarray) -> np.ndarray:
        return np.where(judged[..., None], harm / scale, -np.inf).max((0, 1))

    reached = largest(null[..., :replicates])
    harm = -better[:, None] * size
    worse, better_by = (
        np.where(judged, _all(reached, (side - margin) / scale[..., 0]), np.where(np.isnan(size), np.nan, 1.0))
        for side in (harm, -harm)
    )
    alike = _all(reached, largest(null[..., replicates:] - margin))
    return Exchanged(alone, worse, better_by, int((alike <= alarm).sum()), replicates)


def _null(drawn: Sequence[Sequence[Pair]], draws: int, generator: np.random.Generator) -> np.ndarray:
    """(metric, cell, draws) differences of exchanged answers: of one draw the same rows in every metric and cell."""
    n = len(drawn[0][0].rows)
    parts = [[[pair.exchanged(coins) for pair in row] for row in drawn] for coins in flips(n, draws, generator)]
    return np.concatenate([np.array(part) for part in parts], -1)


def _each(null: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The share of each cell's own draws at least as large as its value."""
    return np.array([[resampling.share_as_large(d, v) for d, v in zip(*row)] for row in zip(null, values)])


def _all(null: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The share of the draws of one statistic at least as large as each value, the value counted in."""
    at_least = len(null) - np.searchsorted(np.sort(null), values - 1e-12, "left")
    return np.asarray((1 + at_least) / (1 + len(null)))
