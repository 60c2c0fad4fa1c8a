"""Attributions tried on the same examples within a budget, and who is ahead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module

import numpy as np

from labkit.analyses._budget import Exhausted, Meter
from labkit.analyses._ranking import Judged
from labkit.analyses._trial import Bench, Method, Trial
from labkit.core import registry
from labkit.core.method import promises
from labkit.faithfulness._positions import support
from labkit.faithfulness._ranks import alike

Scores = Mapping[str, Mapping[str, np.ndarray]]


@dataclass
class Contest:
    """Each method is tried on the first row, which tells what it costs, then on all rows where that fits.

    Attributes:
        controls: the scores of maps that explain nothing; alone: the same of the first row alone.
        out: why a method is out; trials: those that were judged.
        predicted, cost: what each method was expected to take, and its passes; seen: the largest share of a prediction
            that was needed.
    """

    first: Bench
    whole: Bench
    meter: Meter
    budget: float
    controls: Scores = field(default_factory=dict)
    alone: Scores = field(default_factory=dict)
    out: dict[str, str] = field(default_factory=dict)
    predicted: dict[str, float] = field(default_factory=dict)
    cost: dict[str, int] = field(default_factory=dict)
    trials: dict[str, Trial] = field(default_factory=dict)
    seen: float = 0.0

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
            self.alone = self.first.controls()
            if n * (self.meter.spent - before) > self.left:
                return False
            self.meter.allow(self.left)
            self.controls = self.whole.controls()
        except Exhausted:
            return False
        return True

    def hold(self, methods: Mapping[str, Method]) -> None:
        """Try every method on the first row, then those that fit on all rows, in the order of that row's scores."""
        probed = {name: trial for name, method in methods.items() if (trial := self._probe(name, method))}
        judged = self._judged(probed, self.alone)
        skill = judged.skill(judged.struck())[:, 0]
        for i in np.lexsort(([self.predicted[name] for name in probed], -skill)):
            self._try(judged.methods[i], methods[judged.methods[i]])

    def _probe(self, name: str, method: Method) -> Trial | None:
        """The first row's trial, which tells what the method costs; None where it is out."""
        n, before, left = len(self.whole.case.x), self.meter.spent, self.left
        trial = self._within(left / (n + 1), self.first, method)
        if trial is None:
            self.out[name] = (
                f"{n} rows like the first take more than the {_amount(left, self.meter.unit)} that were left"
            )
        elif not trial.goes_on:
            self.out[name] = trial.out
        else:
            self.predicted[name] = n * (self.meter.spent - before)
            return trial
        return None

    def _try(self, name: str, method: Method) -> None:
        left, unit = self.left, self.meter.unit
        expected = self.predicted[name] * self.ratio
        if expected > left:
            self.out[name] = f"expected to take {_amount(expected, unit)}, with {_amount(left, unit)} left"
            return
        before, passes = self.meter.spent, self.meter.passes
        trial = self._within(left, self.whole, method)
        if trial is None:
            self.out[name] = f"stopped after the {_amount(left, unit)} that were left"
        elif trial.out:
            self.out[name] = trial.out
        else:
            self.trials[name] = trial
        self.cost[name] = self.meter.passes - passes
        if trial and not trial.out:  # rows together are cheaper than one by one
            taken = (self.meter.spent - before) / max(self.predicted[name], 1e-9)
            self.seen = max(self.seen, taken)

    @property
    def ratio(self) -> float:
        """What share of a prediction is needed: what was seen at most, with a quarter more."""
        return min(1.0, 1.25 * self.seen) if self.seen else 1.0

    def _within(self, allowed: float, bench: Bench, method: Method) -> Trial | None:
        """The trial of a method, or None where it takes more than is allowed."""
        self.meter.allow(allowed)
        try:
            trial = bench.trial(method, self.controls if bench is self.whole else None)
        except Exhausted:
            return None
        return None if self.meter.exhausted else trial  # a measure may have taken the stop for a refusal

    def judged(self) -> Judged:
        """The scores of all methods that are in, and of the controls."""
        return self._judged(self.trials, self.controls)

    def _judged(self, trials: Mapping[str, Trial], controls: Scores) -> Judged:
        beside = next(iter(controls.values()))
        n = len(next(iter(beside.values())))
        better = [promises(registry.find("faithfulness", name.partition(",")[0])) for name in beside]
        return Judged(
            methods=tuple(trials),
            controls=tuple(controls),
            scores=tuple(beside),
            sign=np.array([-1.0 if "lower" in ends else 1.0 for ends in better]),
            values=_stacked([trial.scores for trial in trials.values()], beside, n),
            beside=_stacked(list(controls.values()), beside, n),
        )

    def agreement(self, names: Sequence[str]) -> np.ndarray:
        """(methods, methods) Spearman's correlation of the sizes of two maps on the input's support, on average."""
        case = self.whole.case
        tensor = case.model.tensor
        where = support(tensor(case.x), tensor(case.baseline))
        maps = [tensor(self.trials[name].values) for name in names]
        return np.array([[float(alike(a, b, where).nanmean()) for b in maps] for a in maps]).reshape(len(maps), len(maps))


def _stacked(found: Sequence[Mapping[str, np.ndarray]], scores: Iterable[str], n: int) -> np.ndarray:
    nothing = np.full(n, np.nan)
    rows = [[scored.get(name, nothing) for name in scores] for scored in found]
    return np.array(rows, np.float64).reshape(len(rows), -1, n) if rows else np.zeros((0, len(list(scores)), n))


def _amount(value: float, unit: str) -> str:
    return f"{value:.2g} seconds" if unit == "seconds" else f"{value:.0f} passes"
