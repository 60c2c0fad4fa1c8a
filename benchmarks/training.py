"""labkit's training loop beside the usual one: DataLoader, float32, a transfer and a synchronisation each step.

``python -m benchmarks training [--recipe fashion_cnn] [--examples 6000] [--epochs 12] [--floor 0.8]`` trains the same
network with the same batch size, optimizer, schedule, label smoothing and augmentation on the same device, by each loop in
turn in one run, and prints two ratios: of the seconds an epoch takes, and of the seconds until the accuracy on the same
held-out examples first reaches the floor. The usual loop draws its shifts one example at a time in the data set, as
transforms do. ``--examples 0 --floor 0.93 --epochs 30`` is the whole of Fashion-MNIST, for a GPU.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import labkit as lk
from labkit.core import registry
from labkit.data.split import Split
from labkit.models.device import pick
from labkit.training import Recipe, fit
from labkit.training.hardware import in_words
from labkit.training.loop import hold_out
from labkit.training.members import Members
from labkit.training.optimizing import make_optimizer


class Images(Dataset[tuple[Tensor, int]]):
    """One example at a time, shifted and mirrored by itself."""

    def __init__(self, split: Split, recipe: Recipe) -> None:
        self.split, self.recipe = split, recipe

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        x, most = torch.tensor(self.split.x[i]), self.recipe.shift
        if most:
            down, right = torch.randint(2 * most + 1, (2,)).tolist()
            x = nn.functional.pad(x, [most] * 4)[:, down : down + x.shape[1], right : right + x.shape[2]]
        if self.recipe.flip and torch.rand(()) < 0.5:
            x = x.flip(2)
        return x, int(self.split.y[i])


@dataclass(frozen=True)
class Course:
    """Seconds and held-out accuracy of each epoch."""

    seconds: list[float]
    accuracy: list[float]

    def until(self, floor: float) -> float:
        """Seconds until the accuracy first reaches the floor; not a number when it never does."""
        reached = np.flatnonzero(np.array(self.accuracy) >= floor)
        return sum(self.seconds[: reached[0] + 1]) if len(reached) else math.nan


def labkits(recipe: Recipe, data: Split, device: torch.device) -> Course:
    """The loop that trains the reference models."""
    curves = fit(recipe, data, device=str(device)).curves
    return Course(curves["seconds"], curves["valid_accuracy"])


def usual(recipe: Recipe, data: Split, device: torch.device) -> Course:
    """The loop as it is mostly written."""
    training, held_out = hold_out(data, recipe.validation)
    config = {**recipe.config, **(recipe.from_data(training) if recipe.from_data else {})}
    torch.manual_seed(0)
    module = registry.find("architectures", recipe.architecture)(**config).to(device)
    optimizer = make_optimizer(Members([module]), recipe)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.rate, total_steps=recipe.epochs * (len(training) // recipe.batch_size), cycle_momentum=False
    )
    loader = DataLoader(Images(training, recipe), recipe.batch_size, shuffle=True, drop_last=True)
    judged = DataLoader(Images(held_out, replace(recipe, shift=0, flip=False)), recipe.batch_size)
    course = Course([], [])
    for _ in range(recipe.epochs):
        began = time.perf_counter()
        module.train()
        total = 0.0
        for x, y in loader:
            x, y = x.to(device), y.to(device)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(module(x), y, label_smoothing=recipe.label_smoothing)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        module.eval()
        with torch.no_grad():
            right = sum(int((module(x.to(device)).argmax(1) == y.to(device)).sum()) for x, y in judged)
        course.accuracy.append(right / len(held_out))
        course.seconds.append(time.perf_counter() - began)
    return course


def main() -> None:
    """Run both loops and print the ratios."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--recipe", default="fashion_cnn")
    options.add_argument("--examples", type=int, default=6000, help="0 takes the full set")
    options.add_argument("--epochs", type=int, default=12)
    options.add_argument("--floor", type=float, default=0.85)
    options.add_argument("--device", default="auto")
    asked, _ = options.parse_known_args()
    recipe = replace(registry.find("recipes", asked.recipe)(), epochs=asked.epochs, validation=1 / 6)
    device = pick(asked.device)
    full = {} if asked.examples else dict(recipe.data_options)
    data = lk.data.load(recipe.data, **full).train
    data = data[np.arange(asked.examples) % len(data)] if asked.examples else data
    short = replace(recipe, epochs=1)
    for loop in (labkits, usual):  # the first run of each warms up
        loop(short, data[: 4 * recipe.batch_size], device)
    ours, theirs = (loop(recipe, data, device) for loop in (labkits, usual))
    print(f"{asked.recipe}, {len(data):,} examples, {asked.epochs} epochs, one run each, {in_words(device)}")
    epoch = [statistics.median(c.seconds) for c in (ours, theirs)]
    print(f"an epoch: labkit {epoch[0]:.2f} s, usual loop {epoch[1]:.2f} s: {epoch[1] / epoch[0]:.2f} times as fast")
    floor = [c.until(asked.floor) for c in (ours, theirs)]
    print(
        f"until {asked.floor:g} on {round(len(data) / 6):,} held-out examples: labkit {floor[0]:.1f} s, usual loop "
        f"{floor[1]:.1f} s: {floor[1] / floor[0]:.2f} times as fast (last accuracy {ours.accuracy[-1]:.3f}, "
        f"{theirs.accuracy[-1]:.3f})"
    )


if __name__ == "__main__":
    main()
