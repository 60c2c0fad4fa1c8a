"""A number in another unit."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.corruptions._severity import at
from labkit.corruptions._table import columns, held
from labkit.data.schema import Schema


def wrong_unit(
    x: np.ndarray,
    severity: int,
    generator: Draws,
    schema: Schema,
    background: np.ndarray,
    *,
    keep_groups: Annotated[bool, "leave the columns alone that hold groups of people"] = True,
    factor: Annotated[float, Range(1.1, 1_000_000, log=True), "how many of one unit make the other"] = 10.0,
) -> Annotated[np.ndarray, "tabular", "mistaken"]:
    """In 20 to 100 % of the rows one number is multiplied or divided by the factor, as when thousands are taken for ones. It
    stays within the range seen in training."""
    may = columns("wrong_unit", schema, keep_groups, "numeric")
    moved = x[:, may] * factor ** generator.signs(len(may))
    found = x.copy()
    found[:, may] = moved
    found = held(x, found, schema, background)
    # one column a row, among those in which the error shows
    chance = np.where(found != x, 1 - generator.spawn(1).uniform(x.shape[1]), 0)
    one = (chance == chance.max(1, keepdims=True)) & (chance > 0)
    rows = generator.spawn(2).uniform(1) < at(severity, (0.2, 0.4, 0.6, 0.8, 1.0))
    return np.where(one & rows, found, x)
