"""Categories that training did not have."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.core.refused import Refused
from labkit.corruptions._severity import at
from labkit.corruptions._table import columns, unseen
from labkit.data.schema import Schema


def unseen_categories(
    x: np.ndarray,
    severity: int,
    generator: Draws,
    schema: Schema,
    *,
    keep_groups: Annotated[bool, "leave the columns alone that hold groups of people"] = True,
) -> Annotated[np.ndarray, "tabular", "missing"]:
    """Puts "(other)" in the place of 10 to 75 % of a row's categories; "(unknown)" where a column has no "(other)".

    Raises:
        Refused: a table without a category for what training did not have.
    """
    new = unseen(schema)
    may = columns("unseen_categories", schema, keep_groups, "categorical")
    may = may[new[may] >= 0]
    if not len(may):
        raise Refused("unseen_categories", "no column with a category for unseen values", "another corruption")
    gone = generator.uniform(x.shape[1])[:, may] < at(severity, (0.1, 0.2, 0.35, 0.55, 0.75))
    found = x.copy()
    found[:, may] = np.where(gone, new[may], x[:, may])
    return found
