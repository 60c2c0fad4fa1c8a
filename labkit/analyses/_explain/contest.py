"""Attributions tried on the same examples within a budget, and who is ahead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TypeVar

import numpy as np

from labkit.analyses._explain.budget import Exhausted, Meter
from labkit.analyses._explain.ranking import Judged
from labkit.analyses._explain.trial import Bench, Method, Trial
from labkit.core import registry
from labkit.core.method import promises
from labkit.faithfulness._positions import support
from labkit.faithfulness._ranks import alike

MAPS = 3  # a method's own, a planted truth's and that of random weights
PROBES = 0.5  # share of the budget that first rows may take together
Scores = Mapping[str, Mapping[str, np.ndarray]]
T = TypeVar("T")


@dataclass
class Contest:
    """A method's cost is predicted from its first row; what fits is tried on all rows, and nothing else is begun.

    Attributes:
        controls: the scores of maps that explain nothing.
        out: why a method is out; unaffordable: which of them are for want of budget alone. trials: those that were judged.
        predicted, cost: what each method was expected to take, and its passes; judging: what the scores of a map take.
    """

    first: Bench
    whole: Bench
    meter: Meter
    budget: float
    controls: Scores = field(default_factory=dict)
    out: dict[str, str] = field(default_factory=dict)
    unaffordable: list[str] = field(default_factory=list)
    predicted: dict[str, float] = field(default_factory=dict)
    cost: dict[str, int] = field(default_factory=dict)
    trials: dict[str, Trial] = field(default_factory=dict)
    judging: float = 0.0

    @property
    def left(self) -> float:
        return max(0.0, self.budget - self.meter.spent)

    def begin(self) -> bool:
        """Score the controls; False where the budget does not allow even that."""
        import_module("scipy.stats")  # whose seconds must not be charged to the first method
        n = len(self.whole.case.x)
        before = self.meter.spent
        self.meter.allow(self.left / (n + 1))
        try:
            self.first.controls()
            if n * (self.meter.spent - before) > self.left:
                return False
            before = self.meter.spent
            self.meter.allow(self.left)
            self.controls = self.whole.controls()
        except Exhausted:
            return False
        self.judging = (self.meter.spent - before) / len(self.controls)
        return True

    def hold(self, methods: Mapping[str, Method]) -> None:
        """Try what fits: methods that promise to add up first, since that can be checked, and among them the cheap ones;
        but those that take more than their share of what is left have to wait for the others."""
        for name, method in methods.items():
            self._probe(name, method, PROBES * self.budget / len(methods))
        firm = {name: "complete" in promises(registry.find("attributions", methods[name])) for name in self.predicted}
        waiting = sorted(self.predicted, key=lambda name: (not firm[name], self.predicted[name]))
        share = self.left / max(1, len(waiting))
        for name in sorted(waiting, key=lambda name: self.predicted[name] > share):
            self._try(name, methods[name])

    def _probe(self, name: str, method: Method, most: float) -> None:
        """Explain the first row. The map, a planted truth and random weights each take as much for every row."""
        n, before, left = len(self.whole.case.x), self.meter.spent, self.left
        unit = self.meter.unit
        trial = self._within(min(left / n, most), lambda: self.first.attributed(method))
        if trial is None:
            self._drop(name, f"its first row takes too much of the {_amount(left, unit)} that were left for {n}")
        elif isinstance(trial, str):
            self.out[name] = trial
        else:
            self.predicted[name] = self.judging + MAPS * n * (self.meter.spent - before)

    def _try(self, name: str, method: Method) -> None:
        left, unit = self.left, self.meter.unit
        if self.predicted[name] > left:
            wanted = _amount(self.predicted[name], unit)
            self._drop(name, f"expected to take {wanted}, with {_amount(left, unit)} left")
            return
        before = self.meter.passes
        trial = self._within(left, lambda: self.whole.trial(method, self.controls))
        if trial is None:
            self._drop(name, f"stopped after the {_amount(left, unit)} that were left")
        elif trial.out:
            self.out[name] = trial.out
        else:
            self.trials[name] = trial
        self.cost[name] = self.meter.passes - before

    def _drop(self, name: str, reason: str) -> None:
        """Leave out a method that the budget does not allow."""
        self.out[name] = reason
        self.unaffordable.append(name)

    def _within(self, allowed: float, work: Callable[[], T]) -> T | None:
        """What comes of it, or None where it takes more than is allowed."""
        self.meter.allow(allowed)
        try:
            found = work()
        except Exhausted:
            return None
        return None if self.meter.exhausted else found  # a measure may have taken the stop for a refusal

    def judged(self) -> Judged:
        """The scores of all methods that are in, and of the controls."""
        scores = list(next(iter(self.controls.values())))
        better = [promises(registry.find("faithfulness", name.partition(",")[0])) for name in scores]
        n = len(self.whole.case.x)
        return Judged(
            methods=tuple(self.trials),
            controls=tuple(self.controls),
            scores=scores,
            sign=np.array([-1.0 if "lower" in ends else 1.0 for ends in better]),
            values=_stacked([trial.scores for trial in self.trials.values()], scores, n),
            beside=_stacked(list(self.controls.values()), scores, n),
        )

    def agreement(self, names: Sequence[str]) -> np.ndarray:
        """(methods, methods) Spearman's correlation of the sizes of two maps on the input's support, on average."""
        case = self.whole.case
        tensor = case.model.tensor
        where = support(tensor(case.x), tensor(case.baseline))
        maps = [tensor(self.trials[name].values) for name in names]
        found = [float(alike(a, b, where).nanmean()) for a in maps for b in maps]
        return np.array(found).reshape(len(maps), len(maps))


def _stacked(found: Sequence[Mapping[str, np.ndarray]], scores: Sequence[str], n: int) -> np.ndarray:
    nothing = np.full(n, np.nan)
    rows = [[scored.get(name, nothing) for name in scores] for scored in found]
    return np.array(rows, np.float64).reshape(len(rows), len(scores), n)


def _amount(value: float, unit: str) -> str:
    return f"{value:.3g} seconds" if unit == "seconds" else f"{value:.0f} passes"
