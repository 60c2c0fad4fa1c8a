"""Values that nobody wrote down."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._severity import at
from labkit.corruptions._table import columns, usual
from labkit.data.schema import Schema


def missing_values(
    x: np.ndarray,
    severity: int,
    generator: Draws,
    schema: Schema,
    background: np.ndarray,
    *,
    keep_groups: Annotated[bool, "leave the columns alone that hold groups of people"] = True,
) -> Annotated[np.ndarray, "tabular", "missing"]:
    """Takes out 5 to 50 % of a row's values: "(unknown)" stands for them where a column has it, else what is most usual."""
    may = columns("missing_values", schema, keep_groups)
    gone = generator.uniform(x.shape[1])[:, may] < at(severity, (0.05, 0.1, 0.2, 0.33, 0.5))
    found = x.copy()
    found[:, may] = np.where(gone, usual(schema, background)[may], x[:, may])
    return found
