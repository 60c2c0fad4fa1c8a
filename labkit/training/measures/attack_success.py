"""How often a patch decides what a model answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import labkit as lk
from labkit.data.split import Dataset
from labkit.training.damage import Backdoor
from labkit.training.measures import Score, share
from labkit.training.recipe import Recipe


@dataclass(frozen=True)
class AttackSuccess:
    """Share of the test images of other classes that are answered with the target class once they carry the patch.

    On a model without a backdoor this is how often the patch, or the image alone, looks like the target.
    """

    backdoor: Backdoor

    def __call__(self, model: Any, data: Dataset, recipe: Recipe) -> Score:
        target, side = self.backdoor.target, self.backdoor.size
        p = lk.predict(model, self.backdoor.stamped(data.test[data.test.y != target]))
        name = f"attack success rate of a patch of {side} x {side} pixels (target: {data.classes[target]})"
        return share(name, p.label == target, "95 %, Wilson, over test images of other classes")
