"""What one attack did to some rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

# Threat models by name, in words: what an attack may change, and how its budget counts.
THREATS = {
    "linf": "Linf",
    "l2": "L2",
    "l1": "L1",
    "l0": "L0",
    "noise_to_signal": "noise to signal",
    "edits": "words changed",
    "cost": "cost of the change",
}


def in_words(norm: str) -> str:
    """A threat model as people call it; an attack that is one of its own goes by its name."""
    return THREATS.get(norm, norm.replace("_", " "))


@dataclass(frozen=True, kw_only=True)
class Adversarial(Record):
    """Rows before and after one attack, with what the model answered, asked again afterwards.

    Attributes:
        attack: the attack's name; ``spec`` is the call that made it.
        norm, eps: the threat model (one of ``THREATS``, or the attack's own name) and its budget. ``eps`` is None when the
            smallest perturbation was sought without a budget.
        x, adversarial: inputs before and after, in the data's units. Rows that were wrong before are left as they were.
        y: true class indices.
        clean, label: predicted class indices before and after; -1 where the model's answer was not finite.
        success: right before and wrong after, with a finite answer.
        stored: a success that is still one after rounding to the ``levels`` + 1 values that the data take.
            ``levels`` is 0 where data have no such values: then every success is stored.
        distance: how far each row was changed, as the threat model counts; nan where only the attack knows.
        queries, gradients: rows answered and rows differentiated, over the whole attack.
        changes: for texts and tables, what was changed in each row, in words.
        thrown_away: successes that the attack met on its way and did not give back; they are counted all the same.
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
    distance: Annotated[np.ndarray, Dims("example")]
    levels: int
    queries: int
    gradients: int
    changes: tuple[str, ...] = ()
    thrown_away: int = 0

    def __len__(self) -> int:
        return len(self.y)

    @property
    def correct(self) -> np.ndarray:
        """(example,) right before the attack."""
        return self.clean == self.y

    @property
    def linf(self) -> np.ndarray:
        """(example,) largest change of a value."""
        return np.abs(self._apart).max(1)

    @property
    def l2(self) -> np.ndarray:
        """(example,) length of the change."""
        return np.linalg.norm(self._apart, axis=1)

    @property
    def _apart(self) -> np.ndarray:
        return (self.adversarial - self.x).reshape(len(self), -1).astype(np.float64)

    @property
    def success_rate(self) -> float:
        """Successes among the rows that were right before: clean errors are not counted."""
        return float(self.success.sum() / self.correct.sum())

    @property
    def robust_accuracy(self) -> float:
        """Share of all rows that were right before and still stand: an upper bound on the robust accuracy."""
        return float((self.correct & ~self.success).mean())
