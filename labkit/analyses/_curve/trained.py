"""Models trained at each point of a learning curve, and what they get wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from labkit.core import progress, resampling
from labkit.data.split import Dataset, Split
from labkit.models.work import flops
from labkit.training.costs import energy
from labkit.training.learners import Learner, learner
from labkit.training.many import Fit, Many, fit_many
from labkit.training.many.fitting import as_tensor
from labkit.training.many.parts import Make

Shares = np.ndarray


@dataclass(frozen=True)
class Task:
    """What every point has in common.

    Attributes:
        data: the rows that may be trained on, and those that are judged on.
        fit: how the models at the largest size, or of every width, learn.
        seed: of the draws of rows. seeds: models a point.
        checkpoint: the beginning of the names of the files that training goes on from.
    """

    asked: str
    data: Dataset
    fit: Fit
    seeds: int
    seed: int
    device: str
    checkpoint: Path | None

    def generator(self, *names: Any) -> np.random.Generator:
        return resampling.stream(self.seed, self.asked, *map(str, names))

    def train(self, make: Make, chosen: np.ndarray, fit: Fit, what: str, watch: bool = False) -> Many:
        train, test = self.data
        path = self.checkpoint and self.checkpoint.with_name(f"{self.checkpoint.name}.{what.replace(' ', '_')}")
        seen = (test.x, test.y) if watch else None
        title = f"training {len(chosen)} models on {what}"
        return fit_many(
            make, train.x, train.y, chosen, fit=fit, device=self.device, checkpoint=path, title=title, watch=seen
        )


@dataclass(frozen=True)
class Measured:
    """Shares of wrong answers by point and seed, and what training one model took.

    Attributes:
        train, test: (points, seeds).
        of_a_row: (points, test rows) each row's mean over seeds; None where only the shares were kept.
        passes, flops, seconds: (points,) of one model. watts, energy: what energy is estimated from.
    """

    train: Shares
    test: Shares
    of_a_row: np.ndarray | None
    passes: np.ndarray
    flops: np.ndarray
    seconds: np.ndarray
    watts: float
    energy: str


def by_examples(task: Task, what: Learner, sizes: Sequence[int]) -> Measured:
    """Models on so many rows, drawn anew for each; all take as many steps as those on the most rows do."""
    steps = task.fit.epochs * _steps(max(sizes), task.fit)
    points = []
    for n in sizes:
        rows = [task.generator("rows", n, s).permutation(len(task.data.train))[:n] for s in range(task.seeds)]
        chosen = np.zeros((task.seeds, len(task.data.train)), bool)
        np.put_along_axis(chosen, np.array(rows), True, 1)
        fit = replace(task.fit, epochs=-(-steps // _steps(n, task.fit)))
        points.append(_point(task, what.make, chosen, fit, f"{n} rows"))
    return _together(points)


def by_width(task: Task, make: Callable[[int], Make], widths: Iterable[int]) -> Measured:
    """Nets of so many units on the same rows."""
    chosen = np.ones((task.seeds, len(task.data.train)), bool)
    return _together([_point(task, make(w), chosen, task.fit, f"width {w}") for w in widths])


def by_epochs(task: Task, what: Learner) -> Measured:
    """The same models after each epoch."""
    chosen = np.ones((task.seeds, len(task.data.train)), bool)
    many = task.train(what.make, chosen, task.fit, f"{task.fit.epochs} epochs", watch=True)
    train, test = (1 - many.curves[f"{side}_accuracy"].T for side in ("train", "watch"))
    done = np.arange(1, task.fit.epochs + 1)
    passes = done * len(task.data.train)
    seconds = done * many.seconds / task.seeds / task.fit.epochs
    return Measured(train, test, None, passes, _flops(many, task) * passes, seconds, *energy(1.0, many.device))


def by_features(task: Task, counts: Sequence[int], ridge: float) -> Measured:
    """Least squares on so many random features: of all exact fits that with the smallest weights, or with a penalty."""
    train, test = task.data
    read = front(learner("network", train).make(0))
    with torch.no_grad():
        x, z = (read(torch.tensor(part.x)).numpy().astype(np.float64) for part in (train, test))
    target = np.eye(len(train.classes))[train.y]
    points = []
    for k, count in enumerate(counts):
        progress.step("least squares on random features", k, len(counts))
        wrong = []
        for s in range(task.seeds):
            inside, outside = _random_features(x, z, count, task.generator("features", count, s))
            weights = _least_squares(inside, target, ridge)
            wrong.append([(f @ weights).argmax(1) != y for f, y in ((inside, train.y), (outside, test.y))])
        inner, outer = (np.array(side) for side in zip(*wrong))
        nothing = (np.full(1, np.nan),) * 3
        points.append(
            Measured(inner.mean(1)[None], outer.mean(1)[None], outer.mean(0)[None], *nothing, float("nan"), "")
        )
    return _together(points)


def _random_features(x: np.ndarray, z: np.ndarray, count: int, g: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    weight, bias = g.normal(size=(x.shape[1], count)) / np.sqrt(x.shape[1]), g.normal(size=count)
    inside, outside = (np.maximum(v @ weight + bias, 0) / np.sqrt(count) for v in (x, z))
    return inside, outside


def _least_squares(features: np.ndarray, target: np.ndarray, ridge: float) -> np.ndarray:
    """(features, classes) weights: the shortest of those with the least squares, plus ``ridge`` times their length."""
    u, s, v = np.linalg.svd(features, full_matrices=False)
    keep = s > s[0] * max(features.shape) * np.finfo(float).eps
    shrunk = np.where(keep, s, 0) / np.where(keep, s**2 + ridge, 1)
    return np.asarray(v.T @ (shrunk[:, None] * (u.T @ target)))


def front(network: nn.Module) -> nn.Module:
    """What stands before the first dense layer of the small network: how it reads its inputs."""
    return nn.Sequential(*_read(network)[0])


def of_width(split: Split) -> tuple[Callable[[int], Make], int]:
    """Width -> seed -> a net with one hidden layer of so many units, and how many numbers each unit brings."""
    network, classes = learner("network", split).make, len(split.classes)
    inputs = _read(network(0))[1].in_features

    def wide(width: int) -> Make:
        def make(seed: int) -> nn.Module:
            hidden = nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, classes)
            return nn.Sequential(front(network(seed)), *hidden)

        return make

    return wide, inputs + 1 + classes


def _read(network: nn.Module) -> tuple[list[nn.Module], nn.Linear]:
    """The layers before the first dense one, and that one."""
    parts = list(network.children())
    at = next(i for i, part in enumerate(parts) if isinstance(part, nn.Linear))
    first = parts[at]
    assert isinstance(first, nn.Linear)
    return parts[:at], first


def _flops(many: Many, task: Task) -> float:
    """Operations that one row takes forwards and back."""
    each = flops(many.module(0), as_tensor(task.data.train.x[:8], many.device))
    return float("nan") if each is None else 3 * each


def _steps(n: int, fit: Fit) -> int:
    return -(-n // fit.batch_size)


def _point(task: Task, make: Make, chosen: np.ndarray, fit: Fit, what: str) -> Measured:
    train, test = task.data
    many = task.train(make, chosen, fit, what)
    inside, outside = _wrong(many, train), _wrong(many, test)
    passes = int(chosen[0].sum()) * fit.epochs
    taken = np.array([passes]), np.array([_flops(many, task) * passes]), np.array([many.seconds / many.count])
    seen = np.array([wrong[row].mean() for wrong, row in zip(inside, chosen)])
    return Measured(seen[None], outside.mean(1)[None], outside.mean(0)[None], *taken, *energy(1.0, many.device))


def _wrong(many: Many, split: Split) -> np.ndarray:
    """(models, n) whether each answer is wrong."""
    return np.asarray(many.logits(split.x).argmax(2) != split.y)


def _together(points: Sequence[Measured]) -> Measured:
    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(p, name) for p in points])

    costs = joined("passes"), joined("flops"), joined("seconds")
    return Measured(joined("train"), joined("test"), joined("of_a_row"), *costs, points[0].watts, points[0].energy)
