"""Every row of a table within a price: the exact worst case on small domains."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor

from labkit.attacks._table import ask, grain, leading
from labkit.core.method import Range
from labkit.data.alternatives import countable, within
from labkit.data.constraints import Constraints
from labkit.data.price import Prices
from labkit.data.schema import Schema
from labkit.models.classifier import Classifier


def exhaustive(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: Literal["cost"],
    schema: Schema,
    constraints: Constraints,
    background: Tensor,
    batch_size: int,
    *,
    most: Annotated[
        int, Range(10, 10_000_000, log=True), "changed rows looked at for each row; refused beyond"
    ] = 100_000,
) -> Annotated[Tensor, "queries"]:
    """The most adversarial of all rows that keep to the constraints and cost at most ``eps``: nothing within it is worse.

    x: (n, columns); the price of a change is that of ``labkit.data.price``. A row that this leaves right cannot be broken
    within ``eps``.

    Raises:
        Refused: a row with more than ``most`` changed rows within ``eps``, with how many there are at least; a column whose
            values cannot be counted.
    """
    rows = countable(Prices(schema, constraints, background.cpu().numpy()), x.cpu().numpy(), most)
    found = rows.x.copy()
    for i in range(len(found)):
        values, price = within(rows, i, eps, most)
        which = np.full(len(values), i)
        lead, size = ask(model, rows, which, values, y, batch_size)
        best = leading(np.ceil(lead / grain(size[:1]))[None], price.round(9)[None], 1)[0]
        found[i] = rows.realise(which[best], values[best])[0]
    return torch.from_numpy(found).to(x)
