"""How many test examples keep their class under noise, by a vote of many draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from labkit.data.split import Dataset
from labkit.training.measures import Score, share
from labkit.training.recipe import Recipe

BATCH = 1000


@dataclass(frozen=True)
class UnderNoise:
    """Accuracy of the class that wins most of ``draws`` votes under normal noise of ``sigma``, in the data's unit.

    The class that randomised smoothing predicts (Cohen, Rosenfeld and Kolter, 2019, arXiv 1902.02918), without a
    certificate. Ties go to the class that stands first.
    """

    sigma: float
    draws: int = 50

    def __call__(self, model: Any, data: Dataset, recipe: Recipe) -> Score:
        generator = torch.Generator().manual_seed(0)
        right = []
        with torch.no_grad():
            for start in range(0, len(data.test), BATCH):
                part = data.test[start : start + BATCH]
                x, votes = model.tensor(part.x), np.zeros((len(part), len(model.classes)), int)
                for _ in range(self.draws):
                    noise = torch.randn(x.shape, generator=generator).to(x.device)
                    answers = model(x + self.sigma * noise).argmax(1).cpu().numpy()
                    votes[np.arange(len(part)), answers] += 1
                right.append(votes.argmax(1) == part.y)
        return share(f"accuracy under noise of {self.sigma:g} (vote of {self.draws} draws)", np.concatenate(right))
