"""Small models for tests, trained in a moment."""

from __future__ import annotations

import torch
from torch import nn

import labkit as lk


def train(module: nn.Module, split: lk.data.Split, steps: int = 150, rate: float = 5e-3) -> nn.Module:
    """Full-batch Adam, seeded: quick and good enough for tests."""
    x, y = torch.tensor(split.x), torch.tensor(split.y)
    optimiser = torch.optim.Adam(module.parameters(), rate)
    for _ in range(steps):
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(x), y).backward()
        optimiser.step()
    return module.eval()
