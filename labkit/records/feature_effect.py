"""FeatureEffect: what a model's answer does when one column changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record


@dataclass(frozen=True, kw_only=True)
class FeatureEffect(Record):
    """The answer over one column's values: set for every row (partial dependence), for each row alone (individual
    conditional expectation), and moved only as far as rows lie (accumulated local effects). Intervals are at 95 %, point
    by point.

    Attributes:
        feature, unit: the column; ``categories``: its values in code order, empty for a number.
        target: the class whose probability is the answer, or the name of the value.
        grid: the column's values asked about. count: of each, the rows that are nearest to it.
        partial, partial_low, partial_high: the mean answer when all rows have that value.
        lines: the answer of some rows, each at every value. at: the value that these rows have.
        against: rows of ``n`` whose answer, from the column's least to its greatest value, goes the other way than the
            mean; -1 for categories.
        edges: the ends of the intervals of accumulated local effects; empty for categories, which have no order.
        local, local_low, local_high: the effect accumulated up to each end, with mean 0 over the rows.
        alike: columns that hardly move apart from this one; ``association``: by how much, from 0 to 1.
        n: rows.
    """

    feature: str
    unit: str = ""
    categories: tuple[str, ...] = ()
    target: str
    grid: Annotated[np.ndarray, Dims("value")]
    count: Annotated[np.ndarray, Dims("value")]
    partial: Annotated[np.ndarray, Dims("value")]
    partial_low: Annotated[np.ndarray, Dims("value")]
    partial_high: Annotated[np.ndarray, Dims("value")]
    lines: Annotated[np.ndarray, Dims("row", "value")]
    at: Annotated[np.ndarray, Dims("row")]
    against: int
    edges: Annotated[np.ndarray, Dims("edge")]
    local: Annotated[np.ndarray, Dims("edge")]
    local_low: Annotated[np.ndarray, Dims("edge")]
    local_high: Annotated[np.ndarray, Dims("edge")]
    alike: tuple[str, ...] = ()
    association: Annotated[np.ndarray, Dims("column")]
    n: int
