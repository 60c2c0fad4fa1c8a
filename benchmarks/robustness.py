"""An eight-budget robustness curve of ``fashion_cnn``: labkit's PGD against eight runs of Foolbox's; memory by batch size.

``python -m benchmarks robustness``. Both sides see the same rows, model, budgets and thread. Foolbox's LinfPGD runs with its
own defaults (40 steps). labkit's makes 20 steps from each of two starts; it goes through the budgets by halving, and rows
that are broken leave. The second timing adds what always runs beside it: one gradient step, Square, noise, and the evidence
for the checks. Then: how much more memory a curve takes in batches of 32 and of 256 rows, each in a process of its own, and
whether the answers are the same in batches of 7 and 256.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import foolbox
import numpy as np
import torch

import labkit as lk
from labkit.analyses._attack.campaign import Campaign
from labkit.analyses._attack.chosen import choose
from labkit.analyses._attack.ground import prepare
from labkit.analyses._guard import Run
from labkit.models.classifier import Classifier

ROWS, ROUNDS = 128, 2
EPS = [0.004, 0.008, 0.012, 0.016, 0.02, 0.03, 0.05, 0.1]
TWO_STARTS = {"restarts": 2}
SHORT = {"pgd": {"restarts": 1, "steps": 4}, "square": {"queries": 4}, "uniform_noise": {"draws": 2}}


def main() -> None:
    """Print seconds of both sides, their ratio, the bounds side by side, and memory."""
    torch.set_num_threads(1)
    model, split = lk.zoo.load("fashion_cnn", device="cpu"), lk.data.load("fashion_mnist").test[:ROWS]
    lk.attack(model, split[:8], "pgd", eps=EPS[0])  # imports and first calls
    sides = {"Foolbox": foolbox_pgd, "labkit PGD": pgd_alone, "labkit curve": whole_curve}
    rounds = [{name: timed(side, model, split) for name, side in sides.items()} for _ in range(ROUNDS)]
    print(f"{ROWS} rows, {len(EPS)} budgets (Linf), 1 thread; robust accuracy at most")
    print(f"{'eps':>12}" + "".join(f"{eps:7.3f}" for eps in EPS))
    for name, (bounds, _) in rounds[0].items():
        print(f"{name:>12}" + "".join(f"{bound:7.3f}" for bound in bounds))
    seconds = {name: min(found[name][1] for found in rounds) for name in sides}
    for name, took in seconds.items():
        looser = int((rounds[0][name][0] > rounds[0]["Foolbox"][0]).sum())
        print(f"{name:>12}: {took:6.1f} s, {seconds['Foolbox'] / took:.2f} times as fast; looser at {looser} budgets")
    memory_and_company(model, split)


def timed(side: Any, *given: Any) -> tuple[np.ndarray, float]:
    """The robust accuracies that a side finds, and its seconds."""
    start = time.perf_counter()
    return side(*given), time.perf_counter() - start


def foolbox_pgd(model: Classifier, split: lk.data.Split) -> np.ndarray:
    """Foolbox's default PGD, once a budget on all rows."""
    x, y = torch.tensor(split.x), torch.tensor(split.y)
    target = foolbox.PyTorchModel(model.module, bounds=model.bounds, device="cpu")
    _, _, broken = foolbox.attacks.LinfPGD()(target, x, y, epsilons=EPS)
    return 1 - broken.float().mean(1).numpy()


def pgd_alone(model: Classifier, split: lk.data.Split) -> np.ndarray:
    """labkit's PGD from two starts."""
    ground = prepare(Run("benchmark", {}, 0, model), model, split, "linf", 0)
    campaign = Campaign(ground, np.array(EPS))
    campaign.run(choose("pgd", TWO_STARTS, "linf"))
    return (campaign.reached > np.array(EPS)[:, None]).mean(1)


def whole_curve(model: Classifier, split: lk.data.Split) -> np.ndarray:
    """The same with controls and evidence."""
    return lk.robustness_curve(model, split, ["pgd"], eps=EPS, options={"pgd": TWO_STARTS}).robust_accuracy()


def memory_and_company(model: Classifier, split: lk.data.Split) -> None:
    """Print what a curve adds to the memory at two batch sizes, and whether batches of 7 and 256 answer alike."""
    for size in (32, 256):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.robustness", str(size)], check=True, capture_output=True, text=True
        )
        print(f"batches of {size:3}: {done.stdout.strip()} MiB more at the peak than before the curve")
    curves = [
        lk.robustness_curve(model, split[:40], ["pgd"], eps=EPS[1::3], options=SHORT, batch_size=size)
        for size in (7, 256)
    ]
    alike = np.array_equal(curves[0].broken_at, curves[1].broken_at)
    print(f"batches of 7 and 256 rows: {'the same' if alike else 'not the same'} smallest breaking budgets")


def peak(batch_size: int) -> None:
    """Print by how many MiB a curve over 256 rows raises the peak of this process's memory."""
    torch.set_num_threads(1)
    model, split = lk.zoo.load("fashion_cnn", device="cpu"), lk.data.load("fashion_mnist").test[:256]
    lk.robustness_curve(model, split[:8], ["pgd"], eps=[0.02], options=SHORT, batch_size=8)
    before = highest()
    lk.robustness_curve(model, split, ["pgd"], eps=[0.02], options=SHORT, batch_size=batch_size)
    print(f"{(highest() - before) / 1024:.0f}")


def highest() -> int:
    """The most memory that this process has had so far, in KiB (Linux). ``getrusage`` would count its parent's."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    peak(int(sys.argv[1])) if len(sys.argv) > 1 else main()
