"""Slices of people who are worse off than the rest, found on one half and confirmed on the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

PerSlice = Annotated[np.ndarray, Dims("slice")]


@dataclass(frozen=True, kw_only=True)
class Slices(Record):
    """What was found in the half that was searched, and what the other half says of it. Intervals are at 95 %.

    More is worse. All but ``found_*`` is of the confirming half, of those in question alone, as negatives are for a false
    positive rate.

    Attributes:
        metric: of which more is worse. rate: whether it is a proportion; else a mean loss. positive: the positive class.
        columns: that were searched. depth: conditions of a slice at most. least: people of a slice at least.
        searched, confirming: people in question in each half.
        conditions: on single columns; candidates: slices whose people were counted.
        exhaustive: whether no slice that could have been among the best was left out.
        alpha: the false discovery rate at which a slice counts as confirmed.
        overall, overall_low, overall_high: of all.
        slice: each slice in words, in the order in which it was found. level: its conditions.
        found_n, found_value: in the half that was searched, where the best of many look worse than they are.
        n, value, low, high: people, and what they suffer.
        rest: of all others. difference, difference_low, difference_high: of the two. The intervals of confirmed slices
            allow for having been chosen among all (Benjamini and Yekutieli, 2005, doi 10.1198/016214504000001907).
        p: one-sided and exact, that the slice is no worse than the rest; p_bh, p_holm: corrected for all slices told.
        confirmed: whether ``p_bh`` is at most alpha.
        chance95: the value that the worst of these slices exceeds in 5 % of permutations, were all alike.
        p_worst: how often it is then at least as far off, in its standard errors, as the worst was.
        detectable: the difference that would have been found, and confirmed, four times in five.
        sizes, missed: the same for slices of so many people in the confirming half: what may have been missed.
    """

    metric: str
    rate: bool
    positive: str
    columns: tuple[str, ...]
    depth: int
    least: int
    searched: int
    confirming: int
    conditions: int
    candidates: int
    exhaustive: bool
    alpha: float
    replicates: int
    overall: float
    overall_low: float
    overall_high: float
    slice: tuple[str, ...]
    level: PerSlice
    found_n: PerSlice
    found_value: PerSlice
    n: PerSlice
    value: PerSlice
    low: PerSlice
    high: PerSlice
    rest: PerSlice
    difference: PerSlice
    difference_low: PerSlice
    difference_high: PerSlice
    p: PerSlice
    p_bh: PerSlice
    p_holm: PerSlice
    confirmed: PerSlice
    chance95: PerSlice
    p_worst: float
    detectable: PerSlice
    sizes: Annotated[np.ndarray, Dims("size")]
    missed: Annotated[np.ndarray, Dims("size")]

    @property
    def worst(self) -> int:
        """The slice that is surest to be far from the rest: the highest lower end, of a confirmed one where there is one;
        -1 without any slice."""
        if not len(self.slice):
            return -1
        return int(
            np.where(
                self.confirmed | ~self.confirmed.any(), np.nan_to_num(self.difference_low, nan=-np.inf), -np.inf
            ).argmax()
        )
