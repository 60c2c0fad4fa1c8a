"""Attacks that see labels alone: the distance that they reach for so many answers a row, beside Foolbox's.

``python -m benchmarks decisions``. A small net on the digits and ``fashion_cnn``; both sides attack the same rows from the
same kind of start. Foolbox is asked row by row, so that none pays for its company. Whatever was answered wrongly on the
way counts for Foolbox, what an attack would give back for labkit. The ratio is how many answers labkit needs for
the distance that Foolbox has reached after so many, as medians over rows and seeds.
"""

from __future__ import annotations

import time
import warnings
from unittest import mock

import foolbox
import numpy as np
import torch
from torch import Tensor, nn

import labkit as lk
from labkit.attacks import _decisions
from labkit.attacks._nearest import Nearest
from labkit.attacks._search import distance
from labkit.core import method, registry
from labkit.core.draws import Draws
from labkit.models.classifier import Classifier

ANSWERS = (100, 250, 500, 1000, 2000)
SETTINGS = (("digits", 32, (0, 1)), ("fashion_cnn", 8, (0,)))  # model, rows, seeds
THEIRS = {
    ("boundary", "l2"): foolbox.attacks.BoundaryAttack(steps=2000),
    ("hop_skip_jump", "l2"): foolbox.attacks.HopSkipJumpAttack(steps=10),
    ("hop_skip_jump", "linf"): foolbox.attacks.HopSkipJumpAttack(steps=10, constraint="linf"),
}
OURS = {"boundary": {"steps": 1800}, "hop_skip_jump": {"steps": 11}, "sign_flip": {"steps": 1000}}


def main() -> None:
    """Print distances and ratios, and what a row that nothing breaks does to both."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for name, count, seeds in SETTINGS:
        model, x, y = setting(name, count)
        print(f"\n{name}, {count} rows, {len(seeds)} seeds, one thread: median distance after so many answers a row")
        print(f"{'':28}" + "".join(f"{q:9}" for q in ANSWERS))
        reached: dict[str, np.ndarray] = {}
        for (attack, norm), theirs in THEIRS.items():
            start = time.perf_counter()
            reached[norm if attack != "boundary" else attack] = curve = np.concatenate(
                [foolbox_curves(theirs, model, x, y, norm, seed) for seed in seeds]
            )
            show(f"Foolbox {attack} {norm}", curve, time.perf_counter() - start)
            compare(attack, norm, model, x, y, seeds, curve)
        compare("sign_flip", "linf", model, x, y, seeds, reached["linf"])
    one_impossible_row()


def setting(name: str, count: int) -> tuple[Classifier, Tensor, Tensor]:
    """A model and the first rows that it gets right."""
    if name == "digits":
        data = lk.data.load("digits")
        model = lk.wrap(trained(data.train), classes=data.classes, bounds=(0, 1))
    else:
        data, model = lk.data.load("fashion_mnist"), lk.zoo.load(name, device="cpu")
    x, y = torch.tensor(data.test.x[: 2 * count]), torch.tensor(data.test.y[: 2 * count])
    with torch.no_grad():
        rows = torch.where(model(x).argmax(1) == y)[0][:count]
    return model, x[rows], y[rows]


def trained(split: lk.data.Split) -> nn.Module:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimiser = torch.optim.Adam(module.parameters(), 5e-3)
    x, y = torch.tensor(split.x), torch.tensor(split.y)
    for _ in range(150):
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(x), y).backward()
        optimiser.step()
    return module.eval()


class Asked(nn.Module):
    """A module that keeps every point and its label."""

    def __init__(self, inner: Classifier) -> None:
        super().__init__()
        self.inner, self.points, self.labels = inner, [], []

    def forward(self, x: Tensor) -> Tensor:
        logits = self.inner(x)
        self.points.append(x.detach().clone())
        self.labels.append(logits.detach().argmax(1))
        return logits


def foolbox_curves(attack, model: Classifier, x: Tensor, y: Tensor, norm: str, seed: int) -> np.ndarray:
    """(row, answers) nearest wrong point so far, however Foolbox came by it."""
    torch.manual_seed(seed)
    curves = []
    for row, label in zip(x.split(1), y.split(1)):
        asked = Asked(model).eval()
        target = foolbox.PyTorchModel(asked, bounds=model.bounds, device="cpu")
        attack.run(target, row, foolbox.criteria.Misclassification(label))
        far = distance(torch.cat(asked.points), row, norm)
        curves.append(torch.where(torch.cat(asked.labels) == label, torch.inf, far).cummin(0).values.numpy())
    return cut(curves)


class Counted(Nearest):
    """The nearest points, and how near they were after each answer."""

    curves: tuple[list[float], ...] = ()

    def __init__(self, x: Tensor, y: Tensor, norm: str) -> None:
        super().__init__(x, y, norm)
        Counted.curves = tuple([] for _ in x)

    def offer(self, points: Tensor, logits: Tensor, rows: Tensor | None = None) -> Tensor:
        wrong = super().offer(points, logits, rows)
        for row in (self.all if rows is None else rows).tolist():
            self.curves[row].append(float(self.distance[row]))
        return wrong


def our_curves(attack: str, model: Classifier, x: Tensor, y: Tensor, norm: str, seed: int) -> np.ndarray:
    """(row, answers) the same of labkit's, all rows at once."""
    function = registry.find("attacks", attack)
    offered = {"model": model, "x": x, "y": y, "norm": norm, "generator": Draws(seed, len(x)), "batch_size": 512}
    with mock.patch.object(_decisions, "Nearest", Counted):
        method.call(function, method.bind("attacks", attack, function, OURS[attack]), offered)
    return cut([np.array(c) for c in Counted.curves])


def cut(curves: list[np.ndarray]) -> np.ndarray:
    """Curves of one length; one that ended stays where it was."""
    last = max(ANSWERS)
    return np.stack([np.append(c[:last], np.full(max(0, last - len(c)), c[-1])) for c in curves])


def compare(
    attack: str, norm: str, model: Classifier, x: Tensor, y: Tensor, seeds: tuple[int, ...], theirs: np.ndarray
) -> None:
    """Our curve, and how many of their answers it takes us."""
    start = time.perf_counter()
    ours = np.concatenate([our_curves(attack, model, x, y, norm, seed) for seed in seeds])
    show(f"labkit  {attack} {norm}", ours, time.perf_counter() - start)
    middle, goal = np.median(ours, 0), np.median(theirs, 0)
    ratios = [
        f"{(np.argmax(middle <= goal[q - 1]) + 1) / q:9.2f}" if middle[-1] <= goal[q - 1] else "   beyond"
        for q in ANSWERS
    ]
    print(f"{'  answers needed, ratio':28}" + "".join(ratios), flush=True)


def show(name: str, curves: np.ndarray, seconds: float) -> None:
    middle = np.median(curves, 0)
    print(f"{name:28}" + "".join(f"{middle[q - 1]:9.4f}" for q in ANSWERS) + f"   {seconds:.0f} s", flush=True)


def one_impossible_row() -> None:
    """A dark row, which is bright at one value alone, among bright ones: how many rows does each side break?"""

    class Guarded(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            lead = torch.where((x[:, 0, 0, 0] - 0.9).abs() < 1e-4, 4.0, -4.0)
            return torch.stack([-lead, lead], 1)

    model = lk.wrap(Guarded(), classes=("dark", "bright"), bounds=(0.0, 1.0))
    x = torch.tensor([0.2, 0.9, 0.9, 0.9]).view(4, 1, 1, 1).expand(4, 1, 8, 8).clone()
    y = torch.tensor([0, 1, 1, 1])
    print("\none row of four that noise does not break")
    for (attack, norm), theirs in THEIRS.items():
        target = foolbox.PyTorchModel(model.module, bounds=(0.0, 1.0), device="cpu")
        try:
            theirs.run(target, x, foolbox.criteria.Misclassification(y))
            says = "goes on"
        except ValueError as error:
            says = f"stops the batch: {error}"
        ours = our_curves(attack, model, x, y, norm, 0)[:, -1]
        print(f"{attack} {norm}: Foolbox {says}; labkit breaks {np.isfinite(ours).sum()} of 4")


if __name__ == "__main__":
    main()
