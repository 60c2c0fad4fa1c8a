"""Agreement: how far attributions of the same outputs tell the same story."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record


@dataclass(frozen=True, kw_only=True)
class Agreement(Record):
    """Attributions of the same outputs for the same inputs, compared two by two on each input's support.

    Attributes:
        model: its name. of: which number of the target is explained.
        methods: those that ran, and as the last a "random" map, with which none agrees but by chance.
        excluded, reasons: methods that did not run, or whose map was withheld, and why each.
        share: which part of the support counts as the top.
        top: the share of one method's top positions, by size, that are also in the other's.
        sign: the share that are in both and have the same sign.
        rank: Spearman's correlation of the two maps, signs included; nan where one of them is constant.
    """

    model: str
    of: str
    methods: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    share: float
    top: Annotated[np.ndarray, Dims("example", "method", "other")]
    sign: Annotated[np.ndarray, Dims("example", "method", "other")]
    rank: Annotated[np.ndarray, Dims("example", "method", "other")]

    def __len__(self) -> int:
        return len(self.rank)

    def pairs(self) -> list[tuple[int, int]]:
        """The pairs of methods, without the random map."""
        return list(combinations(range(len(self.methods) - 1), 2))
