"""Shared fixtures: one torch thread, real digits, and two small trained models."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from torch import nn
from trained import train

import labkit as lk

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits() -> lk.data.Dataset:
    return lk.data.load("digits")


@pytest.fixture(scope="session")
def mlp_module(digits: lk.data.Dataset) -> nn.Module:
    """A bare torch module with test accuracy about 0.97 on the digits. Copy it before changing it."""
    torch.manual_seed(0)
    return train(nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)), digits.train)


@pytest.fixture(scope="session")
def mlp(mlp_module: nn.Module, digits: lk.data.Dataset):
    return lk.wrap(mlp_module, classes=digits.classes, bounds=(0, 1), name="digits_mlp")


@pytest.fixture(scope="session")
def cnn(digits: lk.data.Dataset):
    """A small convolutional net, for methods that need a layer."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 10),
    )
    return lk.wrap(train(module, digits.train, 60), classes=digits.classes, bounds=(0, 1), name="digits_cnn")
