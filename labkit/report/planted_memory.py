"""Planted memory and shared rows, each with a sound twin: a model that gives back its training labels, and one that learned."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

import labkit as lk
from labkit.core.draws import Draws
from labkit.core.record import Record
from labkit.data.schema import Feature, Schema
from labkit.data.split import Dataset, Split
from labkit.report.planted import CLASSES, Control

ROWS = 400


def _part(seed: int, moved: float = 0.0) -> Split:
    """Rows of whose labels the first column tells all but a quarter; the last column is moved so far."""
    draws = Draws(seed, ROWS)
    x = draws.normal(4)
    y = (x[:, 0] > 0) ^ (draws.uniform(1)[:, 0] < 0.25)
    x[:, 3] += moved
    features = tuple(Feature(f"column {i}", "numeric") for i in range(4))
    schema = Schema("tabular", "planted", (4,), features=features)
    return Split(x.astype(np.float32), y.astype(np.int64), schema, CLASSES, f"planted {seed}")


def _nearest(train: Split, width: float) -> Any:
    """A model that answers as the training rows within a width do: each alone knows itself by heart, many together do not."""
    import torch
    from torch import nn

    class Nearest(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.at = nn.Parameter(torch.tensor(train.x))
            self.label = nn.functional.one_hot(torch.tensor(train.y), 2).float()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            near = torch.exp(-((torch.cdist(x, self.at) / width) ** 2))
            return torch.log((near @ self.label + 1e-3) / (near.sum(1, keepdim=True) + 2e-3))

    return lk.wrap(Nearest(), classes=CLASSES, name="planted")


def _remembers(width: float) -> Record:
    from labkit.training.many import Fit

    data = Dataset("planted", _part(21), _part(22))
    return lk.memorization(_nearest(data.train, width), data, models=16, fit=Fit(epochs=10))


def _recognized(width: float) -> Record:
    data = Dataset("planted", _part(21), _part(22))
    return lk.membership_inference(_nearest(data.train, width), data, ["loss"], shadows=0)


def _shared(rows: int) -> Record:
    train, test = _part(21), _part(22)
    x, y = test.x.copy(), np.array(test.y)
    x[:rows], y[:rows] = train.x[:rows], train.y[:rows]
    return lk.leakage(Dataset("planted", train, replace(test, x=x, y=y)))


def _shifted(moved: float) -> Record:
    return lk.distribution_shift(Dataset("planted", _part(21), _part(22, moved)))


# In units of a column's spread: within 0.1 of a row lies nobody but itself, within 3 about everybody.
PLANTED_MEMORY = (
    Control(
        "remembered_rows",
        "A model that gives back every training label, a quarter of which only it can know",
        partial(_remembers, 0.1),
        partial(_remembers, 3.0),
        "memorization",
    ),
    Control(
        "recognized_members",
        "A model that is sure of its training rows alone",
        partial(_recognized, 0.1),
        partial(_recognized, 3.0),
        "membership_inference",
    ),
    Control(
        "no_leakage",
        "A tenth of the test rows also in the training data",
        partial(_shared, ROWS // 10),
        partial(_shared, 0),
        "leakage",
    ),
    Control(
        "same_distribution",
        "A column that lies a standard deviation higher in the test data",
        partial(_shifted, 1.0),
        partial(_shifted, 0.0),
        "distribution_shift",
    ),
)
