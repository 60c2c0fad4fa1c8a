"""How many test examples no change within the budget can lose: a certificate, so a bound from below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from labkit.certificates.interval_bounds import interval_bounds
from labkit.data.split import Dataset
from labkit.training.measures import Score, share
from labkit.training.recipe import Recipe

BATCH = 500


@dataclass(frozen=True)
class Proven:
    """Robust accuracy at ``eps`` (Linf), at least: the share of all test examples that interval bounds certify.

    Source: Gowal et al., 2018, arXiv 1810.12715.
    """

    eps: float

    def __call__(self, model: Any, data: Dataset, recipe: Recipe) -> Score:
        x, y = model.tensor(data.test.x), torch.tensor(data.test.y, device=model.device)
        leads = [
            interval_bounds(model, rows, true, torch.full((len(rows),), self.eps).to(rows), "linf", BATCH)
            for rows, true in zip(x.split(BATCH), y.split(BATCH))
        ]
        name = f"robust accuracy at eps {self.eps:g}, at least (interval bounds)"
        return share(name, (torch.cat(leads) > 0).cpu().numpy())
