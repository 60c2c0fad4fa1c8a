"""How many test examples no change within the budget can lose: a certificate, so a bound from below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from labkit.data.split import Dataset
from labkit.training.measures import Score, share
from labkit.training.members import Members
from labkit.training.objectives.interval_bounds import IntervalBounds
from labkit.training.recipe import Recipe


@dataclass(frozen=True)
class Proven:
    """Robust accuracy at ``eps`` (Linf), at least: the share of all test examples that interval bounds prove.

    Source: Gowal et al., 2018, arXiv 1810.12715.
    """

    eps: float

    def __call__(self, model: Any, data: Dataset, recipe: Recipe) -> Score:
        objective = IntervalBounds(eps=self.eps, bounds=model.bounds)
        answer = Members([model.module])
        x, y = model.tensor(data.test.x), torch.from_numpy(data.test.y.copy()).to(model.device)
        proven = [objective.judge(answer, a[None], b[None])[1][0] for a, b in zip(x.split(1000), y.split(1000))]
        return share(
            f"robust accuracy at eps {self.eps:g}, at least (interval bounds)", torch.cat(proven).cpu().numpy()
        )
