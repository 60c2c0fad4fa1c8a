"""labkit's training loop beside the usual one: DataLoader, float32, a transfer and a synchronisation each step.

``python benchmarks/training.py [--recipe fashion_cnn] [--examples 6000] [--epochs 1] [--rounds 3]`` times the same
network, batch size, optimizer, label smoothing and augmentation on the same device, in turns in one run, and prints the
ratio of the medians. The usual loop draws its shifts one example at a time in the data set, as transforms do.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

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


def usual(recipe: Recipe, data: Split, device: torch.device) -> float:
    """The loop as it is mostly written; returns the last epoch's mean loss."""
    training, held_out = hold_out(data, recipe.validation)
    config = {**recipe.config, **(recipe.from_data(training) if recipe.from_data else {})}
    module = registry.find("architectures", recipe.architecture)(**config).to(device)
    optimizer = make_optimizer(module, recipe)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.rate, total_steps=recipe.epochs * (len(training) // recipe.batch_size), cycle_momentum=False
    )
    loader = DataLoader(Images(training, recipe), recipe.batch_size, shuffle=True, drop_last=True)
    judged = DataLoader(Images(held_out, replace(recipe, shift=0, flip=False)), recipe.batch_size)
    for _ in range(recipe.epochs):
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
            sum(int((module(x.to(device)).argmax(1) == y.to(device)).sum()) for x, y in judged)
    return total / len(loader)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--recipe", default="fashion_cnn")
    options.add_argument("--examples", type=int, default=6000)
    options.add_argument("--epochs", type=int, default=1)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--device", default="auto")
    asked = options.parse_args()
    recipe = replace(registry.find("recipes", asked.recipe)(), epochs=asked.epochs)
    device = pick(asked.device)
    every = lk.data.load(recipe.data).train
    data = every[np.arange(asked.examples) % len(every)]
    loops: dict[str, Callable[[], object]] = {
        "labkit": lambda: fit(recipe, data, device=str(device)),
        "usual": lambda: usual(recipe, data, device),
    }
    taken: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(asked.rounds + 1):
        for name, loop in loops.items():
            began = time.perf_counter()
            loop()
            if turn:  # the first warms up
                taken[name].append(time.perf_counter() - began)
    ours, theirs = (statistics.median(taken[name]) for name in ("labkit", "usual"))
    print(
        f"{asked.recipe}, {asked.examples} examples, {asked.epochs} epochs, median of {asked.rounds}, {in_words(device)}"
    )
    print(f"labkit {ours:.2f} s, usual loop {theirs:.2f} s: {theirs / ours:.2f} times as fast")


if __name__ == "__main__":
    main()
