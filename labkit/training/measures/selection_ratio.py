"""How often one group is selected beside another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import labkit as lk
from labkit.core.ratios import ratio
from labkit.data.split import Dataset
from labkit.training.measures import Score
from labkit.training.recipe import Recipe


@dataclass(frozen=True)
class SelectionRatio:
    """The selection rate of ``group`` over that of ``other``: the share of each whose first choice is the class.

    1 is demographic parity; the four-fifths rule (29 CFR 1607.4(D)) looks at ratios below 0.8, or above 1.25.

    Attributes:
        by: the sensitive feature.
        group, other: two of its groups.
        positive: the index of the class that is selected.
    """

    by: str
    group: str
    other: str
    positive: int = 1

    def __call__(self, model: Any, data: Dataset, recipe: Recipe) -> Score:
        p = lk.predict(model, data.test)
        selected = [p.label[p.group(self.by) == g] == self.positive for g in (self.group, self.other)]
        counts = [count for s in selected for count in (int(s.sum()), len(s))]
        low, high = ratio(*counts)
        value = counts[0] / counts[1] / (counts[2] / counts[3]) if counts[1] and counts[2] else np.nan
        name = f"selection rate of {self.group} over that of {self.other}"
        interval = "95 %, ratio of independent proportions, over test examples"
        return Score(name, value, float(low), float(high), counts[1] + counts[3], interval)
