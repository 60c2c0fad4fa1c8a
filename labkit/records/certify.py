"""How far each row may change before its answer can: proven bounds from below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.intervals import clopper_pearson
from labkit.core.record import Dims, Record


@dataclass(frozen=True, kw_only=True)
class Certificate(Record):
    """Each row's certified radius under one threat model. Certified accuracies from it are bounds from below.

    Attributes:
        method, spec: the certificate's name, and the call that made it.
        norm: the threat model.
        of: whose radius it is: "the model", or the one that is certified in its place.
        confidence: with which each row's radius holds; 1 where it is proven.
        y, label: true and predicted (clean) class indices. Of a smoothed model nobody knows the answers: the labels are
            the model's own without noise.
        eps: the budgets that were asked for, ascending; none where the largest was looked for.
        radius: the largest budget up to which each row's answer is right and stays so; 0 where none is.
        resolution: by which share the largest budget that the method certifies may exceed ``radius``; nan where only
            budgets were asked for.
        most: up to which budget was looked.
    """

    method: str
    spec: str
    norm: str
    of: str
    confidence: float
    classes: tuple[str, ...]
    y: Annotated[np.ndarray, Dims("example")]
    label: Annotated[np.ndarray, Dims("example")]
    eps: Annotated[np.ndarray, Dims("eps")]
    radius: Annotated[np.ndarray, Dims("example")]
    resolution: float
    most: float

    def __len__(self) -> int:
        return len(self.y)

    @property
    def correct(self) -> np.ndarray:
        """(example,) right without any change."""
        return self.label == self.y

    @property
    def budgets(self) -> np.ndarray:
        """The budgets that were asked for, or where a row's radius ends, with 0 before them."""
        return self.eps if len(self.eps) else np.unique([0.0, *self.radius])

    def certified(self, eps: np.ndarray) -> np.ndarray:
        """(eps, example) rows whose answer is right and stays so at each of the budgets. At 0 that is to be right."""
        eps = np.asarray(eps, float)[:, None]
        held = self.radius >= eps
        return np.where(eps > 0, held, held & (self.correct | (self.radius > 0)))

    def certified_accuracy(self, eps: np.ndarray) -> np.ndarray:
        """(eps,) share of all rows that are certified: a lower bound of robust accuracy."""
        return self.certified(eps).mean(1)

    def interval(self, eps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(eps,) ends of the exact 95 % interval for the share of rows that this method certifies."""
        return clopper_pearson(self.certified(eps).sum(1), len(self))
