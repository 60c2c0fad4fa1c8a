"""Sound data and sound answers by the hundred: nothing in them is leaked, shifted, remembered or miscalibrated."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

import labkit as lk
from labkit.analyses.predict import row_hashes
from labkit.core.record import Provenance
from labkit.data.schema import Feature, Schema
from labkit.data.split import Dataset, Split
from labkit.models.classifier import Classifier


def size(draw: np.random.Generator, low: int = 100, high: int = 3000) -> int:
    """A number of rows, as often small as large."""
    return int(np.exp(draw.uniform(np.log(low), np.log(high))))


def named(classes: int) -> tuple[str, ...]:
    return tuple(f"class {c}" for c in range(classes))


def answers(draw: np.random.Generator, n: int, classes: int = 0, sharp: float = 0.0) -> lk.Predictions:
    """Probabilities with which the labels are then drawn: calibrated by construction. Two to six groups, which matter in
    nothing."""
    classes = classes or int(draw.choice([2, 2, 3, 5, 10]))
    logits = draw.normal(size=(n, classes)) * (sharp or draw.uniform(0.5, 4))
    proba = np.exp(logits - logits.max(1, keepdims=True))
    proba /= proba.sum(1, keepdims=True)
    y = np.minimum((proba.cumsum(1) < draw.random((n, 1))).sum(1), classes - 1)
    return stated(y, proba.argmax(1), classes, proba, {"group": draw.integers(0, draw.integers(2, 7), n).astype(str)})


def stated(
    y: np.ndarray, label: np.ndarray, classes: int, proba: np.ndarray | None = None, groups: Any = None, x: Any = None
) -> lk.Predictions:
    """Answers of no model in particular."""
    about = Provenance(analysis="simulated", version=lk.__version__)
    return lk.Predictions(
        provenance=about,
        y=y.astype(np.int64),
        label=label.astype(np.int64),
        proba=None if proba is None else proba.astype(np.float32),
        classes=named(classes),
        groups=groups or {},
        row=None if x is None else row_hashes(x),
    )


def table(draw: np.random.Generator, n: int, effect: float = 1.0, classes: int = 2, columns: int = 0) -> Split:
    """Numbers, some of them whole and with few values, and categories; the label follows from a few of them and chance."""
    numeric, whole, kinds = columns or int(draw.integers(2, 7)), int(draw.integers(0, 3)), int(draw.integers(0, 3))
    z = draw.normal(size=(n, numeric)) @ (np.eye(numeric) + 0.3 * draw.normal(size=(numeric, numeric)))
    w = draw.poisson(2, (n, whole))
    c = draw.integers(0, 4, (n, kinds))
    x = np.c_[z, w, c].astype(np.float32)
    logits = effect * np.c_[z[:, :2], w[:, :1]] @ draw.normal(size=(2 + min(whole, 1), classes))
    y = (logits + draw.gumbel(size=logits.shape)).argmax(1)
    features = [Feature(f"number {i}", "numeric") for i in range(numeric + whole)]
    features += [Feature(f"kind {i}", "categorical", categories=tuple("abcd")) for i in range(kinds)]
    schema = Schema("tabular", "y", (x.shape[1],), features=tuple(features))
    return Split(x, y.astype(np.int64), schema, named(classes), "simulated")


def cut(whole: Split, n: int) -> Dataset:
    """The first ``n`` rows to train on."""
    return Dataset(whole.name, whole[:n], whole[n:])


def real(draw: np.random.Generator, name: str, n: int, m: int) -> Dataset:
    """Rows of a data set that comes with labkit, dealt anew into two parts."""
    data = lk.data.load(name)
    rows = draw.permutation(len(data.train))[: n + m]
    return Dataset(name, data.train[np.sort(rows[:n])], data.train[np.sort(rows[n:])])


def net(seed: int, inputs: int, classes: int, hidden: int = 32, layers: int = 1) -> nn.Module:
    """A small dense net with fresh weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths = [inputs] + [hidden] * layers
        steps = [step for a, b in pairwise(widths) for step in (nn.Linear(a, b), nn.ReLU())]
        return nn.Sequential(nn.Flatten(), *steps, nn.Linear(hidden, classes))


def model(seed: int, rows: Split, steps: int = 80) -> Classifier:
    """A small net that has learned these rows."""
    module = net(seed, int(np.prod(rows.x.shape[1:])), len(rows.classes))
    x, y = torch.tensor(rows.x), torch.tensor(rows.y)
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()
    return lk.wrap(module.eval(), classes=rows.classes, name="a small net")
