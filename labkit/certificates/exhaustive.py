"""The exact price of the nearest adversarial row of a table, by looking at every row that is cheaper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor

from labkit.core.method import Range
from labkit.data.alternatives import Rows, countable, every
from labkit.data.constraints import Constraints
from labkit.data.price import SLACK, Prices
from labkit.data.schema import Schema
from labkit.models.classifier import Classifier

# How often the price up to which everything is looked at is halved where too many rows are within it.
HALVINGS = 6


def exhaustive(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    norm: Literal["cost"],
    schema: Schema,
    constraints: Constraints,
    background: Tensor,
    batch_size: int,
    *,
    most: Annotated[int, Range(10, 10_000_000, log=True), "changed rows looked at together for each row"] = 100_000,
) -> Tensor:
    """(n,) prices below which no change that keeps to the constraints gives another answer.

    Where the nearest such row is met, its exact price; infinite where there is none at any price; where more than ``most``
    rows would have to be looked at, a price up to which all were. 0 for a row that is wrong already. A tie between two
    classes and an answer that is not finite count as another answer.

    x: (n, columns); the price of a change is that of ``labkit.data.price``, in which a budget below the result is certified.

    Raises:
        Refused: a column whose values cannot be counted.
    """
    rows = countable(Prices(schema, constraints, background.cpu().numpy()), x.cpu().numpy(), most)

    def broken(row: int, values: np.ndarray) -> np.ndarray:
        parts = [np.zeros(0, bool)]
        for start in range(0, len(values), batch_size):
            part = values[start : start + batch_size]
            with torch.no_grad():
                logits = model(model.tensor(rows.realise(np.full(len(part), row), part))).float()
            others = logits.clone()
            others[:, y[row]] = -torch.inf
            right = (logits[:, y[row]] > others.amax(1)) & logits.isfinite().all(1)
            parts.append(~right.cpu().numpy())
        return np.concatenate(parts)

    found = [_nearest(rows, i, broken, most) for i in range(len(x))]
    return torch.tensor(found, dtype=torch.float64, device=x.device)


def _nearest(rows: Rows, row: int, broken: Callable[[int, np.ndarray], np.ndarray], most: int) -> float:
    """Looks at all rows within a price, then within a higher one, in steps that double while there are not too many."""
    if broken(row, rows.own[row : row + 1]).any():
        return 0.0
    choices = rows.choices(row)
    whole = sum(cost[-1] for _, cost in choices)
    looked, step, halved = 0.0, max(whole / 64, min((cost[1] for _, cost in choices if len(cost) > 1), default=0.0)), 0
    while looked < whole and halved <= HALVINGS:
        found = every(choices, looked + step, most)
        if isinstance(found, int):
            step, halved = step / 2, halved + 1
            continue
        values, price = (part[found[1] > looked + SLACK] for part in found)
        bad = broken(row, values)
        if bad.any():
            return float(price[bad].min())
        looked, step = looked + step, step if halved else 2 * step
    return looked if looked < whole else np.inf
