"""What two models did differently in training, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

PerMeasure = Annotated[np.ndarray, Dims("model", "measure")]


@dataclass(frozen=True, kw_only=True)
class RecipeComparison(Record):
    """Two training runs side by side: settings that differ, and what was measured of both. Intervals are at 95 %.

    Attributes:
        models: both names.
        same_data: whether both were trained on the same rows under the same labels.
        trained_on: how many rows each was trained on.
        settings: the names of those that differ; ``first`` and ``second`` the values of each model, in words.
        shared: how many settings are the same.
        measures: what cards tell of both; score, low, high: by model, nan where a measure has no interval; n: rows.
    """

    models: tuple[str, str]
    same_data: bool
    trained_on: Annotated[np.ndarray, Dims("model")]
    settings: tuple[str, ...]
    first: tuple[str, ...]
    second: tuple[str, ...]
    shared: int
    measures: tuple[str, ...]
    score: PerMeasure
    low: PerMeasure
    high: PerMeasure
    n: PerMeasure
