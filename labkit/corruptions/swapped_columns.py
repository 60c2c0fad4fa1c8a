"""Two columns changed places."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._severity import at
from labkit.corruptions._table import columns, held
from labkit.data.schema import Schema


def swapped_columns(
    x: np.ndarray,
    severity: int,
    generator: Draws,
    schema: Schema,
    background: np.ndarray,
    *,
    keep_groups: Annotated[bool, "leave the columns alone that hold groups of people"] = True,
) -> Annotated[np.ndarray, "tabular", "mistaken"]:
    """In 20 to 100 % of the rows two numbers stand in each other's column (two categories where a table has fewer than two
    numbers), as far as the columns can hold them."""
    numbers = [f.kind for f in schema.features].count("numeric") > 1
    may = columns("swapped_columns", schema, keep_groups, "numeric" if numbers else "categorical", least=2)
    first, other = may[np.argsort(generator.uniform(len(may)), axis=1)[:, :2]].T
    rows = np.flatnonzero(generator.spawn(1).uniform(1)[:, 0] < at(severity, (0.2, 0.4, 0.6, 0.8, 1.0)))
    found = x.copy()
    found[rows, first[rows]], found[rows, other[rows]] = x[rows, other[rows]], x[rows, first[rows]]
    return held(x, found, schema, background)
