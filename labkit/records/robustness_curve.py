"""How many rows still stand as the budget grows, against several attacks, with the evidence that the attacks worked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.intervals import clopper_pearson
from labkit.core.power import rows_for_width
from labkit.core.record import Dims, Record
from labkit.core.refused import unknown


@dataclass(frozen=True, kw_only=True)
class RobustnessCurve(Record):
    """Each row's smallest known breaking budget, by attack. Robust accuracies from it are bounds from above.

    Attributes:
        norm: the threat model: one of ``labkit.records.attack.THREATS``, or the name of an attack that is its own.
        eps: the budgets, ascending, in the data's units.
        attacks: the names of all attacks, in the order in which they ran; ``specs`` are the calls that made them.
        controls: those that nobody asked for but that always run.
        y, label: true and predicted (clean) class indices.
        groups: for each sensitive feature the group name of each example.
        broken_at: for each attack and row the smallest budget at which it broke; 0 where the clean answer is wrong,
            infinity where it did not break, or an attack before it had done so already.
        tried: at how many budgets each attack tried each row. Attacks see only rows that still stand.
        is_gradient: whether each attack uses gradients; if not it is a black box.
        queries, gradients: for each attack and row, how often the model answered and was differentiated; rows that were
            attacked together share evenly.
        nonfinite: for each attack, how many of its perturbed rows got NaN or infinite answers (never successes).
        thrown_away: for each attack, successes that it met on its way and did not give back; they count.
        asks: how often the model was asked for one answer: more than once where it answers at random.
        asked_again, came_back: of the rows lost by a model that answers at random, how many were asked about once more,
            and how many of them it got right then; these count as standing.
        stored: rows whose nearest adversarial still fools the model after rounding to the data's ``levels`` + 1 values;
            where ``levels`` is 0 the data have none.
        loss_gradient, margin_gradient: largest absolute gradient of cross-entropy and margin at each clean row, over
            the whole input range; nan for clean errors.
        cosine: between the margin's gradients at each row and at a point 1e-3 of the range away; nan without one.
        optimizes: how many gradients the model takes by itself to answer one batch.
        longer, longer_steps, longer_eps, longer_rows, longer_before, longer_more: the attack that was given more steps
            ("" when none has steps), how many, at which budget, on how many rows, how many were broken before, and how
            many more it broke then.
        whole, whole_rows, whole_standing: the attack that was given the whole input range, on how many rows, and how
            many it did not break.
        larger, larger_rows, larger_standing: the attack that was given the largest budget, on how many of the rows that
            it had broken at a smaller one, and how many it did not break then.
        scales, scale_gained, scale_lost: ways to rescale the clean rows, and how many rows the model gets right only
            then, and only as they are.
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
    groups: Mapping[str, np.ndarray]
    broken_at: Annotated[np.ndarray, Dims("attack", "example")]
    tried: Annotated[np.ndarray, Dims("attack", "example")]
    is_gradient: Annotated[np.ndarray, Dims("attack")]
    queries: Annotated[np.ndarray, Dims("attack", "example")]
    gradients: Annotated[np.ndarray, Dims("attack", "example")]
    nonfinite: Annotated[np.ndarray, Dims("attack")]
    thrown_away: Annotated[np.ndarray, Dims("attack")]
    asks: int
    asked_again: int
    came_back: int
    stored: Annotated[np.ndarray, Dims("example")]
    levels: int
    loss_gradient: Annotated[np.ndarray, Dims("example")]
    margin_gradient: Annotated[np.ndarray, Dims("example")]
    cosine: Annotated[np.ndarray, Dims("example")]
    optimizes: int
    longer: str
    longer_steps: int
    longer_eps: float
    longer_rows: int
    longer_before: int
    longer_more: int
    whole: str
    whole_rows: int
    whole_standing: int
    larger: str
    larger_rows: int
    larger_standing: int
    scales: tuple[str, ...]
    scale_gained: Annotated[np.ndarray, Dims("scale")]
    scale_lost: Annotated[np.ndarray, Dims("scale")]
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
        """(eps,) share of all rows that still stand: an upper bound. By default against all attacks together; else
        against one, which saw only the rows that had stood before it."""
        chosen = None if attack is None else np.array([name == attack for name in self.attacks])
        return (~self.broken(chosen)).mean(1)

    def after(self, attack: str) -> np.ndarray:
        """(eps,) share of all rows that still stand after an attack and all that ran before it."""
        return (~self.broken(np.arange(len(self.attacks)) <= self.attacks.index(attack))).mean(1)

    def success_rate(self, attack: str | None = None) -> np.ndarray:
        """(eps,) share broken among the rows that were right without an attack."""
        return 1 - self.robust_accuracy(attack) * len(self) / self.correct.sum()

    def interval(self, attack: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(eps,) ends of the exact 95 % interval for the robust accuracy against these attacks."""
        n = len(self)
        return clopper_pearson(np.round(self.robust_accuracy(attack) * n), n)

    def by_group(self, feature: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The known groups by a sensitive feature: (group,) names, (group, eps) rows that still stand, (group,) rows.

        Raises Refused for a feature that these rows do not have.
        """
        if feature not in self.groups:
            raise unknown("a feature of this curve", feature, self.groups)
        known = self.groups[feature] != ""
        names, code = np.unique(self.groups[feature][known], return_inverse=True)
        member = code == np.arange(len(names))[:, None]
        return names, member.astype(np.int64) @ (~self.broken()[:, known]).T, member.sum(1)

    def rows_for(self, width: float) -> np.ndarray:
        """(eps,) how many rows an exact 95 % interval of that width would need, were the share what it is here."""
        return np.array([rows_for_width(share, width) for share in self.robust_accuracy()])
