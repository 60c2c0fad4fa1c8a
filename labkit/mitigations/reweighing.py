from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.mitigations import Answer, Fit


def reweighing(
    x: np.ndarray,
    y: np.ndarray,
    group: np.ndarray,
    fit: Fit,
    *,
    strength: Annotated[
        float, Range(0, 1), "from equal weights to those under which class and group are independent"
    ] = 1.0,
) -> Answer:
    """Each person weighs as much as their class and group would be frequent if they were independent, over how frequent
    they are (Kamiran and Calders, 2012, doi 10.1007/s10115-011-0463-8, section 5.3). Any number of classes and groups;
    the group is not read at decision time."""
    cells = np.zeros((int(group.max()) + 1, int(y.max()) + 1))
    np.add.at(cells, (group, y), 1.0)
    expected = cells.sum(1, keepdims=True) * cells.sum(0) / len(y)
    weight = (expected / np.maximum(cells, 1))[group, y]
    model = fit(x, y, weight=1 + strength * (weight - 1))
    return model
