"""The loss around a model's weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

Triple = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class LossLandscape(Record):
    """The mean loss (cross-entropy, nats) of some rows at other weights than the model's, and how it bends at them.

    Three numbers are a value and the ends of its 95 % interval.

    Attributes:
        n: rows; parameters: weights; classes: of the model.
        place: (point,) steps along a direction: at 1 every filter moves as far as it is long; 0 is the model.
        loss: (point, point) on the plane of the first two directions; the first runs along the last axis.
        error: its standard error over rows.
        sections, section_error: (direction, point) the same along single directions; the first two lie in the plane.
        here, accuracy: of the model on the rows.
        largest: of the Hessian's eigenvalues: a lower bound, and an interval that holds it with 99 % over random starts.
        least: a value that the least eigenvalue does not exceed. steps: products with the Hessian that both took.
        trace: of the Hessian. The interval is over random vectors and rows.
        relative: the mean of v' H v over filter-normalised directions v: the curvature that the picture shows.
        probes: random vectors for each of the two.
        radius: of the adaptive ball: the root of the sum of the weights' squared relative changes.
        worst: by how much at least the loss rises somewhere in the ball; its interval is over rows.
        chance: how much it rises at a random place of the ball; its interval is over places.
    """

    n: int
    parameters: int
    classes: int
    place: Annotated[np.ndarray, Dims("point")]
    loss: Annotated[np.ndarray, Dims("point", "point")]
    error: Annotated[np.ndarray, Dims("point", "point")]
    sections: Annotated[np.ndarray, Dims("direction", "point")]
    section_error: Annotated[np.ndarray, Dims("direction", "point")]
    here: Triple
    accuracy: Triple
    largest: Triple
    least: float
    steps: int
    trace: Triple
    relative: Triple
    probes: int
    radius: float
    worst: Triple
    chance: Triple
