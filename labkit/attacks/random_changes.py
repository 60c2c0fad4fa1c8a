"""Random changes of a table's rows: the control that any search must beat."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from torch import Tensor

from labkit.attacks._table import AT_ONCE, Table
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.data.constraints import Constraints
from labkit.data.schema import Schema
from labkit.models.classifier import Classifier


def random_changes(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: Literal["cost"],
    generator: Draws,
    schema: Schema,
    constraints: Constraints,
    background: Tensor,
    batch_size: int,
    *,
    draws: Annotated[int, Range(1, 10_000, log=True), "random rows tried for each row, in steps of 16"] = 48,
) -> Annotated[Tensor, "queries"]:
    """The most adversarial of random rows that keep to the constraints and cost at most ``eps``; rows leave when broken.

    Columns are taken in random order and change at random for as long as the budget lasts, in every other draw only some
    of them. x: (n, columns); the price of a change is that of ``labkit.data.price``.
    """
    table = Table(model, x, y, eps, schema, constraints, background, batch_size)
    for turn in range(-(-draws // AT_ONCE)):
        rows = np.flatnonzero(table.live)
        if not len(rows):
            break
        table.offer(rows, table.at_random(generator[rows].spawn(turn), rows, AT_ONCE))
    return table.found
