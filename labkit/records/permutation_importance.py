"""PermutationImportance: what a model loses when a column says nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record


@dataclass(frozen=True, kw_only=True)
class PermutationImportance(Record):
    """How far a metric gets worse when a feature's values are dealt out anew among the rows. Intervals are at 95 %.

    Attributes:
        metric: its name. value, low, high: the metric with nothing permuted.
        features: names of the features; ``columns``: of each, how many columns it has.
        loss: by how much the metric gets worse, mean over the deals; above 0 where the feature helps.
        loss_low, loss_high: its interval, over rows and deals.
        partner: for each feature the other one that tells most of it, "" when there is none; ``association``: how much,
            from 0 to 1.
        alike: from which association on two features share their importance.
        n: rows. deals: how often each feature was dealt out.
    """

    metric: str
    value: float
    low: float
    high: float
    features: tuple[str, ...]
    columns: Annotated[np.ndarray, Dims("feature")]
    loss: Annotated[np.ndarray, Dims("feature")]
    loss_low: Annotated[np.ndarray, Dims("feature")]
    loss_high: Annotated[np.ndarray, Dims("feature")]
    partner: tuple[str, ...]
    association: Annotated[np.ndarray, Dims("feature")]
    alike: float
    n: int
    deals: int

    @property
    def shared(self) -> tuple[int, ...]:
        """Which features have a partner that carries the same information."""
        return tuple(int(i) for i in np.flatnonzero(self.association >= self.alike))
