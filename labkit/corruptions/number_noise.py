"""Numbers that were measured badly."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._severity import at
from labkit.corruptions._table import columns, held
from labkit.data.schema import Schema


def number_noise(
    x: np.ndarray,
    severity: int,
    generator: Draws,
    schema: Schema,
    background: np.ndarray,
    *,
    keep_groups: Annotated[bool, "leave the columns alone that hold groups of people"] = True,
) -> Annotated[np.ndarray, "tabular", "mistaken"]:
    """Adds normal noise of 0.1 to 0.8 standard deviations to every number, within the range seen in training."""
    may = columns("number_noise", schema, keep_groups, "numeric")
    spread = at(severity, (0.1, 0.2, 0.35, 0.55, 0.8)) * background[:, may].std(0)
    found = x.copy()
    found[:, may] += spread * generator.normal(x.shape[1])[:, may]
    return held(x, found, schema, background)
