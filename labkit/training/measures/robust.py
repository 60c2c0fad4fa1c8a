"""How many test examples stand against every attack that labkit has for small changes of the input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import labkit as lk
from labkit.data.split import Dataset
from labkit.training.measures import Score
from labkit.training.recipe import Recipe

# Twice the steps that PGD takes by default, from four starts, with both losses. What needs no gradients is here to show
# that gradients are not hidden: on models whose gradients are sound it breaks next to nothing that PGD does not.
STRONGEST: Mapping[str, Mapping[str, Any]] = {"pgd": {"steps": 40, "restarts": 4}, "square": {"queries": 200}}


@dataclass(frozen=True)
class Robust:
    """Robust accuracy at ``eps`` (Linf), at most: the share of all test examples that no attack breaks.

    A row that any attack of the ensemble breaks is lost, clean errors too. The interval is the exact one of Clopper and
    Pearson (1934). When the evidence beside the attacks contradicts them, the record that ``lk.robustness_curve`` gives
    for the same arguments says so; ``lk.check`` reads it.
    """

    eps: float
    attacks: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: STRONGEST)

    def __call__(self, model: Any, data: Dataset, recipe: Recipe) -> Score:
        record = lk.robustness_curve(
            model, data.test, attacks=tuple(self.attacks), eps=[self.eps], options=self.attacks, batch_size=500
        )
        (low,), (high,) = record.interval()
        (value,) = record.robust_accuracy()
        every = dict.fromkeys((*self.attacks, *record.controls, *record.attacks))
        name = f"robust accuracy at eps {self.eps:g}, at most ({', '.join(every)})"
        interval = "95 %, Clopper-Pearson, over test examples"
        return Score(name, float(value), float(low), float(high), len(record), interval)
