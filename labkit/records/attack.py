"""What one attack did to some rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record


@dataclass(frozen=True, kw_only=True)
class Adversarial(Record):
    """Rows before and after one attack, with what the model answered, asked again afterwards.

    Attributes:
        attack: the attack's name; ``spec`` is the call that made it.
        norm, eps: the threat model. ``eps`` is None when the smallest perturbation was sought without a budget.
        x, adversarial: inputs before and after, in the data's units. Rows that were wrong before are left as they were.
        y: true class indices.
        clean, label: predicted class indices before and after; -1 where the model's answer was not finite.
        success: right before and wrong after, with a finite answer.
        stored: a success that is still one after rounding to the ``levels`` + 1 values that the data take.
        linf, l2: distances between before and after.
        queries, gradients: rows answered and rows differentiated, over the whole attack.
    """

    attack: str
    spec: str
    norm: str
    eps: float | None
    classes: tuple[str, ...]
    x: Annotated[np.ndarray, Dims("example", "...")]
    adversarial: Annotated[np.ndarray, Dims("example", "...")]
    y: Annotated[np.ndarray, Dims("example")]
    clean: Annotated[np.ndarray, Dims("example")]
    label: Annotated[np.ndarray, Dims("example")]
    success: Annotated[np.ndarray, Dims("example")]
    stored: Annotated[np.ndarray, Dims("example")]
    linf: Annotated[np.ndarray, Dims("example")]
    l2: Annotated[np.ndarray, Dims("example")]
    levels: int
    queries: int
    gradients: int

    def __len__(self) -> int:
        return len(self.y)

    @property
    def correct(self) -> np.ndarray:
        """(example,) right before the attack."""
        return self.clean == self.y

    @property
    def distance(self) -> np.ndarray:
        """(example,) distance in the attack's norm."""
        return self.linf if self.norm == "linf" else self.l2

    @property
    def success_rate(self) -> float:
        """Successes among the rows that were right before: clean errors are not counted."""
        return float(self.success.sum() / self.correct.sum())

    @property
    def robust_accuracy(self) -> float:
        """Share of all rows that were right before and still stand: an upper bound on the robust accuracy."""
        return float((self.correct & ~self.success).mean())
