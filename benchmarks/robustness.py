"""An eight-budget robustness curve of ``fashion_cnn``: labkit's PGD against eight runs of Foolbox's.

``python -m benchmarks robustness``. Both sides see the same rows, model, budgets and threads, with their own
defaults. labkit retires rows that are broken and goes through the budgets in ascending order; the second timing adds
what always runs beside it: one gradient step, Square, noise, and the evidence for the checks.
"""

from __future__ import annotations

import time

import foolbox
import numpy as np
import torch

import labkit as lk
from labkit.analyses import _attacking
from labkit.analyses._guard import Run
from labkit.models.classifier import Classifier

ROWS = 128
EPS = [0.004, 0.008, 0.012, 0.016, 0.02, 0.03, 0.05, 0.1]


def main() -> None:
    """Print seconds of both sides, their ratio, and the bounds side by side."""
    model, split = lk.zoo.load("fashion_cnn", device="cpu"), lk.data.load("fashion_mnist").test[:ROWS]
    lk.attack(model, split[:8], "pgd", eps=EPS[0])  # imports and first calls
    theirs, seconds = foolbox_pgd(model, split)
    ours, alone = pgd_alone(model, split)
    start = time.perf_counter()
    curve = lk.robustness_curve(model, split, ["pgd"], eps=EPS)
    whole = time.perf_counter() - start
    bounds = np.stack([theirs, ours, curve.robust_accuracy()])
    print(f"{ROWS} rows, {len(EPS)} budgets (Linf), {torch.get_num_threads()} threads; robust accuracy at most")
    print(f"{'eps':>7} {'Foolbox PGD':>12} {'labkit PGD':>12} {'labkit curve':>13}")
    for eps, row in zip(EPS, bounds.T):
        print(f"{eps:7.3f} {row[0]:12.3f} {row[1]:12.3f} {row[2]:13.3f}")
    print(f"Foolbox PGD   {seconds:7.1f} s")
    print(f"labkit PGD    {alone:7.1f} s, {seconds / alone:.1f} times as fast")
    print(f"labkit curve  {whole:7.1f} s, {seconds / whole:.2f} times as fast, with controls and evidence")
    print(f"labkit's bound is the higher one at {(bounds[1] > bounds[0]).sum()} budgets, the curve's at ", end="")
    print(f"{(bounds[2] > bounds[0]).sum()}")


def foolbox_pgd(model: Classifier, split: lk.data.Split) -> tuple[np.ndarray, float]:
    """Foolbox's default PGD, once a budget on all rows: robust accuracies and seconds."""
    x, y = torch.tensor(split.x), torch.tensor(split.y)
    target = foolbox.PyTorchModel(model.module, bounds=model.bounds, device="cpu")
    start = time.perf_counter()
    _, _, broken = foolbox.attacks.LinfPGD()(target, x, y, epsilons=EPS)
    return 1 - broken.float().mean(1).numpy(), time.perf_counter() - start


def pgd_alone(model: Classifier, split: lk.data.Split) -> tuple[np.ndarray, float]:
    """labkit's default PGD on the rows that stand, budgets ascending: robust accuracies and seconds."""
    start = time.perf_counter()
    ground = _attacking.prepare(Run("benchmark", {}, 0, model), model, split, "linf", EPS, 0)
    attack = _attacking.choose("pgd", {}, "linf")
    standing, found = ground.correct.copy(), []
    for eps in EPS:
        rows = np.flatnonzero(standing)
        if len(rows):
            standing[rows[_attacking.strike(ground, attack, rows, eps).success]] = False
        found.append(standing.mean())
    return np.array(found), time.perf_counter() - start


if __name__ == "__main__":
    main()
