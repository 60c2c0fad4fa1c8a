"""How many rows still stand as the budget grows, against several attacks, with the evidence that the attacks worked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.intervals import clopper_pearson
from labkit.core.record import Dims, Record


@dataclass(frozen=True, kw_only=True)
class RobustnessCurve(Record):
    """Each row's smallest known breaking budget, by attack. Robust accuracies from it are bounds from above.

    Attributes:
        norm: "linf" or "l2".
        eps: the budgets, ascending, in the data's units.
        attacks: the names of all attacks, in the order in which they ran; ``specs`` are the calls that made them.
        controls: those that nobody asked for but that always run.
        y, label: true and predicted (clean) class indices.
        broken_at: for each attack and row the smallest budget at which it broke; 0 where the clean answer is wrong,
            infinity where it never broke.
        is_gradient: whether each attack uses gradients; if not it is a black box.
        queries, gradients: for each attack the rows answered and the rows differentiated.
        nonfinite: for each attack, how many of its perturbed rows got NaN or infinite answers (never successes).
        stored: rows whose nearest adversarial still fools the model after rounding to the data's ``levels`` + 1 values.
        loss_gradient, margin_gradient: largest absolute gradient of cross-entropy and margin at each clean row, over
            the whole input range; nan for clean errors.
        cosine: between the margin's gradients at each row and at a point 1e-3 of the range away; nan without one.
        longer, longer_steps, longer_eps, longer_rows, longer_before, longer_more: the attack that was given more steps
            ("" when none has steps), how many, at which budget, on how many rows, how many it had broken, and how many
            more it broke then.
        whole, whole_rows, whole_standing: the attack that was given the whole input range, on how many rows, and how
            many it did not break.
        escalated: why stronger attacks were run after those asked for; "" if they were not.
    """

    norm: str
    eps: Annotated[np.ndarray, Dims("eps")]
    attacks: tuple[str, ...]
    specs: tuple[str, ...]
    controls: tuple[str, ...]
    classes: tuple[str, ...]
    y: Annotated[np.ndarray, Dims("example")]
    label: Annotated[np.ndarray, Dims("example")]
    broken_at: Annotated[np.ndarray, Dims("attack", "example")]
    is_gradient: Annotated[np.ndarray, Dims("attack")]
    queries: Annotated[np.ndarray, Dims("attack")]
    gradients: Annotated[np.ndarray, Dims("attack")]
    nonfinite: Annotated[np.ndarray, Dims("attack")]
    stored: Annotated[np.ndarray, Dims("example")]
    levels: int
    loss_gradient: Annotated[np.ndarray, Dims("example")]
    margin_gradient: Annotated[np.ndarray, Dims("example")]
    cosine: Annotated[np.ndarray, Dims("example")]
    longer: str
    longer_steps: int
    longer_eps: float
    longer_rows: int
    longer_before: int
    longer_more: int
    whole: str
    whole_rows: int
    whole_standing: int
    escalated: str = ""

    def __len__(self) -> int:
        return len(self.y)

    @property
    def chance(self) -> float:
        """Accuracy of guessing among the classes."""
        return 1 / len(self.classes)

    @property
    def correct(self) -> np.ndarray:
        """(example,) right without an attack."""
        return self.label == self.y

    @property
    def accuracy(self) -> float:
        """Accuracy without an attack."""
        return float(self.correct.mean())

    @property
    def breaking_eps(self) -> np.ndarray:
        """(example,) smallest budget at which any attack broke the row; 0 for clean errors, inf if none did."""
        return self.broken_at.min(0)

    @property
    def broken_by(self) -> np.ndarray:
        """(example,) the first attack to break the row at that budget; "" for clean errors and rows that stand."""
        broken = self.correct & np.isfinite(self.breaking_eps)
        return np.where(broken, np.array(self.attacks)[self.broken_at.argmin(0)], "")

    def broken(self, attacks: np.ndarray | None = None) -> np.ndarray:
        """(eps, example) rows broken at each budget by any of the attacks (a mask; by default all). Clean errors are."""
        at = self.broken_at if attacks is None else self.broken_at[attacks]
        nearest = at.min(0) if len(at) else np.where(self.correct, np.inf, 0.0)
        return nearest <= self.eps[:, None]

    def robust_accuracy(self, attack: str | None = None) -> np.ndarray:
        """(eps,) share of all rows that still stand: an upper bound. By default against all attacks together."""
        chosen = None if attack is None else np.array([name == attack for name in self.attacks])
        return (~self.broken(chosen)).mean(1)

    def success_rate(self, attack: str | None = None) -> np.ndarray:
        """(eps,) share broken among the rows that were right without an attack."""
        return 1 - self.robust_accuracy(attack) * len(self) / self.correct.sum()

    def interval(self, attack: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(eps,) ends of the exact 95 % interval for the robust accuracy against these attacks."""
        n = len(self)
        return clopper_pearson(np.round(self.robust_accuracy(attack) * n), n)
