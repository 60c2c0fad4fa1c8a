from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from labkit.core.method import Range
from labkit.mitigations import Answer, Fit


def resampling(
    x: np.ndarray,
    y: np.ndarray,
    group: np.ndarray,
    fit: Fit,
    generator: np.random.Generator,
    *,
    strength: Annotated[
        float, Range(0, 1), "from the people as they are to numbers under which class and group are independent"
    ] = 1.0,
    prefer: Annotated[
        Literal["nobody", "border"], "who is repeated or left out: anybody, or first whom a model is least sure of"
    ] = "nobody",
) -> Answer:
    """People of a class and group are repeated or left out until class and group are independent (Kamiran and Calders,
    2012, doi 10.1007/s10115-011-0463-8, section 5.4: uniform sampling, and with ``prefer="border"`` preferential
    sampling). Any number of classes and groups; the group is not read at decision time."""
    groups, classes = int(group.max()) + 1, int(y.max()) + 1
    cell = group * classes + y
    size = np.bincount(cell, minlength=groups * classes)
    expected = np.outer(np.bincount(group, minlength=groups), np.bincount(y, minlength=classes)).ravel() / len(y)
    wanted = np.rint(size + strength * (expected - size)).astype(int)
    order = fit(x, y)(x)[np.arange(len(y)), y] if prefer == "border" else generator.random(len(y))
    people = np.lexsort((order, cell))  # the first of each cell are repeated first, and left out first
    start = np.cumsum(size) - size
    kept = []
    for c in np.flatnonzero(size):
        inside = people[start[c] : start[c] + size[c]]
        kept.append(inside[size[c] - wanted[c] :] if wanted[c] <= size[c] else np.resize(inside, wanted[c] - size[c]))
        kept.append(inside if wanted[c] > size[c] else inside[:0])
    rows = np.sort(np.concatenate(kept))
    model = fit(x[rows], y[rows])
    return model
