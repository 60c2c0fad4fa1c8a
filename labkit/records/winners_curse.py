"""What the best of several candidates is worth, when it was chosen on the very rows that say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record


@dataclass(frozen=True, kw_only=True)
class WinnersCurse(Record):
    """The best of several models on the same rows: its value as it looks, and corrected for having been chosen there.
    Intervals are at 95 %.

    Attributes:
        metric, better: its name, and 1 where more is better, -1 where less is.
        n: rows. names: of the candidates. values, lows, highs: the metric of each, with the interval that it would have
            alone.
        chosen: the index of the best; ties: how many share its value, of which one is taken at random.
        corrected, corrected_low, corrected_high: median-unbiased estimate and interval of the chosen one's true value.
        median: of the candidates' values. p: how often the best of candidates that are truly alike lies so far from
            their median.
        method: what the correction rests on.
    """

    metric: str
    better: int
    n: int
    names: tuple[str, ...]
    values: Annotated[np.ndarray, Dims("candidate")]
    lows: Annotated[np.ndarray, Dims("candidate")]
    highs: Annotated[np.ndarray, Dims("candidate")]
    chosen: int
    ties: int
    corrected: float
    corrected_low: float
    corrected_high: float
    median: float
    p: float
    method: str

    @property
    def naive(self) -> float:
        """The chosen one's value, as it looks."""
        return float(self.values[self.chosen])

    @property
    def curse(self) -> float:
        """By how much the value looks better than its corrected one."""
        return (self.naive - self.corrected) * (self.better or 1)
