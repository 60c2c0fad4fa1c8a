"""Sound models to attack, each unlike the last: plainly trained ones, and honest robust ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_breast_cancer, load_wine
from torch import Tensor, nn

import labkit as lk
from labkit.data.schema import Schema
from labkit.models.classifier import Classifier

# Each model takes the next of all three, so that they meet in every way.
SHAPES = ("linear", "dense", "convolutional", "dense", "columns, dense")
TRAININGS = ("plain", "adversarial", "plain", "noise", "TRADES", "plain", "interval bounds")
ACTIVATIONS: tuple[Callable[[], nn.Module], ...] = (nn.ReLU, nn.Tanh, nn.GELU)
NEAR = {"images": 0.1, "columns": 0.03}  # how far the robust trainings look
TRAINED_ON = 900


@dataclass(frozen=True)
class Attacked:
    """A trained model, how it was made, and rows that it has not seen."""

    shape: str
    training: str
    model: Classifier
    accuracy: float
    test: lk.data.Split

    @property
    def images(self) -> bool:
        return self.test.x.ndim == 4


def made(number: int, seed: int) -> Attacked:
    """The model of that number, from the draws of that seed."""
    draw = np.random.default_rng(seed)
    torch.manual_seed(seed)
    shape, training = SHAPES[number % len(SHAPES)], TRAININGS[number % len(TRAININGS)]
    x, y, classes = _columns(draw) if shape.startswith("columns") else _digits(draw)
    order = draw.permutation(len(x))
    x, y = x[order], y[order]
    held_out = slice(min(TRAINED_ON, 2 * len(x) // 3), None)
    kind = nn.ReLU if training == "interval bounds" else ACTIVATIONS[int(draw.integers(3))]
    normalised = bool(draw.integers(2)) and training != "interval bounds"
    widths = [int(w) for w in draw.choice([16, 32, 64, 96], int(draw.integers(1, 4)))]
    if shape == "linear":
        module: nn.Module = nn.Sequential(nn.Flatten(), nn.Linear(64, len(classes)))
    elif shape == "convolutional":
        module = convolutional(kind, normalised, bool(draw.integers(2)), len(classes))
    else:
        module = dense(int(x[0].size), widths, kind, normalised, len(classes))
    near = NEAR["images" if x.ndim == 4 else "columns"]
    train(module, torch.tensor(x[: held_out.start]), torch.tensor(y[: held_out.start]), training, near)
    model = lk.wrap(module, classes=classes, bounds=(0, 1), name=f"{shape}, {training}")
    modality = "image" if x.ndim == 4 else "tabular"
    schema = Schema(modality, "class", x.shape[1:], bounds=(0, 1))
    test = lk.data.Split(x[held_out], y[held_out], schema, classes, f"held out {seed}")
    with torch.no_grad():
        right = model(model.tensor(test.x)).argmax(1).numpy() == test.y
    return Attacked(shape, training, model, float(right.mean()), test)


@cache
def _all_digits() -> tuple[np.ndarray, np.ndarray]:
    data = lk.data.load("digits")
    return np.concatenate([data.train.x, data.test.x]), np.concatenate([data.train.y, data.test.y])


def _digits(draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """From 2 to 10 of the digits."""
    x, y = _all_digits()
    chosen = np.sort(draw.permutation(10)[: int(draw.choice([2, 3, 4, 6, 10, 10]))])
    rows = np.isin(y, chosen)
    return x[rows], np.searchsorted(chosen, y[rows]), tuple(map(str, chosen))


def _columns(draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Measurements of tumours or of wines, each column stretched to 0..1."""
    load, classes = ((load_breast_cancer, ("malignant", "benign")), (load_wine, ("a", "b", "c")))[int(draw.integers(2))]
    x, y = load(return_X_y=True)
    low, high = x.min(0), x.max(0)
    return ((x - low) / (high - low)).astype(np.float32), y.astype(np.int64), classes


def dense(inputs: int, widths: list[int], kind: Callable[[], nn.Module], normalised: bool, classes: int) -> nn.Module:
    """One to three hidden layers."""
    layers: list[nn.Module] = [nn.Flatten()]
    for before, width in zip([inputs, *widths], widths):
        layers += [nn.Linear(before, width), *([nn.BatchNorm1d(width)] if normalised else []), kind()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], classes))


def convolutional(kind: Callable[[], nn.Module], normalised: bool, largest: bool, classes: int) -> nn.Module:
    """Two convolutions, one pooling."""
    norm = [nn.BatchNorm2d(8)] if normalised else []
    pool = nn.MaxPool2d(2) if largest else nn.AvgPool2d(2)
    first = [nn.Conv2d(1, 8, 3, padding=1), *norm, kind(), pool]
    return nn.Sequential(*first, nn.Conv2d(8, 16, 3), kind(), nn.Flatten(), nn.Linear(64, classes))


def train(module: nn.Module, x: Tensor, y: Tensor, training: str, near: float) -> None:
    """Adam on batches of 128 rows, each as the training sees them."""
    optimizer = torch.optim.Adam(module.parameters(), 5e-3)
    steps = 150
    for i in range(steps):
        rows = torch.randint(len(x), (min(128, len(x)),))
        loss = LOSSES[training](module.train(), x[rows], y[rows], near * min(1.0, 2 * i / steps))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    module.eval()


def plain(module: nn.Module, x: Tensor, y: Tensor, near: float) -> Tensor:
    """Cross-entropy on the rows as they are."""
    return F.cross_entropy(module(x), y)


def noise(module: nn.Module, x: Tensor, y: Tensor, near: float) -> Tensor:
    """Cross-entropy under normal noise."""
    return F.cross_entropy(module(x + near * torch.randn_like(x)), y)


def adversarial(module: nn.Module, x: Tensor, y: Tensor, near: float) -> Tensor:
    """Cross-entropy at the worst point near by (Madry et al., 2018, arXiv 1706.06083)."""
    return F.cross_entropy(module(_climbed(module, x, near, lambda z: F.cross_entropy(z, y))), y)


def trades(module: nn.Module, x: Tensor, y: Tensor, near: float) -> Tensor:
    """Cross-entropy, and how far the answers near by are from the answer (Zhang et al., 2019, arXiv 1901.08573)."""
    there = module(x).detach().softmax(1)
    worst = _climbed(module, x, near, lambda z: F.kl_div(z.log_softmax(1), there, reduction="batchmean"))
    z, other = module(torch.cat([x, worst])).chunk(2)
    return F.cross_entropy(z, y) + 3 * F.kl_div(other.log_softmax(1), z.softmax(1), reduction="batchmean")


def interval_bounds(module: Any, x: Tensor, y: Tensor, near: float) -> Tensor:
    """Cross-entropy of the worst logits within interval bounds (Gowal et al., 2018, arXiv 1810.12715)."""
    middle, radius = x, torch.full_like(x, near)
    for layer in module:
        if isinstance(layer, nn.Linear):
            middle, radius = layer(middle), F.linear(radius, layer.weight.abs())
        elif isinstance(layer, nn.Conv2d):
            spread = F.conv2d(radius, layer.weight.abs(), None, layer.stride, layer.padding)
            middle, radius = layer(middle), spread
        else:  # none of the others falls anywhere
            low, high = layer(middle - radius), layer(middle + radius)
            middle, radius = (low + high) / 2, (high - low) / 2
    sure = F.one_hot(y, middle.shape[1])
    worst = middle + radius * (1 - 2 * sure)
    return (F.cross_entropy(module(x), y) + F.cross_entropy(worst, y)) / 2


def _climbed(module: nn.Module, x: Tensor, near: float, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """Three steps uphill from a random point near by."""
    v = x + near * (2 * torch.rand_like(x) - 1)
    for _ in range(3):
        v = v.detach().requires_grad_()
        (slope,) = torch.autograd.grad(loss(module(v)), v)
        v = (v + near / 2 * slope.sign()).clamp(x - near, x + near).clamp(0, 1)
    return v.detach()


LOSSES = {
    "plain": plain,
    "adversarial": adversarial,
    "noise": noise,
    "TRADES": trades,
    "interval bounds": interval_bounds,
}
