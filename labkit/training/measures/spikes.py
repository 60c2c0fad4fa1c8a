"""How often the neurons of a spiking network fire."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labkit.core.intervals import mean
from labkit.data.split import Dataset
from labkit.models.architectures.spiking import LeakyIntegrateAndFire
from labkit.training.measures import Score
from labkit.training.recipe import Recipe


def spike_share(model: Any, data: Dataset, recipe: Recipe) -> Score:
    """Share of neurons x steps with a spike, a mean over the test examples: counted at the neurons' own output."""
    shares: list[Tensor] = []

    def count(_neurons: nn.Module, _inputs: Any, spikes: Tensor) -> None:
        shares.append(spikes.mean((1, 2)))

    neurons = [m for m in model.module.modules() if isinstance(m, LeakyIntegrateAndFire)]
    handles = [m.register_forward_hook(count) for m in neurons]
    try:
        with torch.no_grad():
            model(model.tensor(data.test.x))
    finally:
        for handle in handles:
            handle.remove()
    each = torch.stack(shares).mean(0).cpu().numpy().astype(np.float64)
    name = "share of neurons x steps with a spike"
    return Score(name, float(each.mean()), *mean(each), len(each), "95 %, Student, over test examples")
