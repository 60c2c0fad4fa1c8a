"""Sound models by the hundred: small nets on real data, trained in stacks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

import labkit as lk
from labkit.core import registry
from labkit.models.attention import Attention
from labkit.models.classifier import Classifier

TOGETHER = 20  # models of a stack


@dataclass(frozen=True)
class Family:
    """One architecture on one data set.

    Attributes:
        share: of all the models, and ``least`` so many: some checks read few kinds of input or method. steps, rate: of Adam, on ``rows`` training rows at a time.
        make: a fresh module. wrapped: what ``labkit.wrap`` must know of it.
        methods: those that are sound on it and take turns.
    """

    name: str
    share: float
    make: Callable[[], nn.Module]
    data: Callable[[], tuple[Any, Any]]
    wrapped: dict[str, Any]
    steps: int = 120
    rate: float = 5e-3
    rows: int = 512
    least: int = 1
    methods: tuple[str, ...] = ("integrated_gradients", "occlusion", "kernel_shap", "lrp")


@dataclass(frozen=True)
class Sound:
    """A trained model, its accuracy, and the parts of its data."""

    family: str
    model: Classifier
    accuracy: float
    train: np.ndarray
    test: Any


def families() -> Iterator[Family]:
    """Images, tables with categories and without, series, and words."""
    digits = lk.data.load("digits")
    seen = {"classes": digits.classes, "bounds": (0, 1)}

    def parts(data: Any) -> Callable[[], tuple[Any, Any]]:
        return lambda: (data.train, data.test)

    for width in (32, 96):
        yield Family(f"digits, dense {width}", 0.15, lambda w=width: dense(64, w, 10), parts(digits), seen)  # type: ignore[misc]
    yield Family("digits, convolutional", 0.15, small_cnn, parts(digits), seen, steps=80, rate=1e-2, rows=256)
    for name, share in (("german_mlp", 0.1), ("power_cnn", 0.1)):
        recipe = registry.find("recipes", name)()
        data = lk.data.load(recipe.data)
        config = dict(recipe.config) | dict(recipe.from_data(data.train) if recipe.from_data else {})
        known = {
            "classes": data.classes,
            "embedding": recipe.embedding,
            "baseline": recipe.baseline(data.train),
            "padding": recipe.padding,
        }
        build = registry.find("architectures", recipe.architecture)
        yield Family(
            data.train.name.split(",")[0], share, lambda b=build, c=config: b(**c), parts(data), known, least=50
        )  # type: ignore[misc]
    yield _tumours()
    yield _reviews()
    yield _decisive_words()


def _tumours() -> Family:
    x, y = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order].astype(np.float32), y[order]
    mean, spread = (torch.tensor(v) for v in (x[:400].mean(0), x[:400].std(0)))
    known = {"classes": ("malignant", "benign"), "baseline": x[:400].mean(0)}
    parts = _Rows(x[:400], y[:400]), _Rows(x[400:], y[400:])
    return Family(
        "breast cancer",
        0.15,
        lambda: nn.Sequential(Scale(mean, spread), dense(30, 24, 2)),
        lambda: parts,
        known,
        least=60,
    )


def _reviews() -> Family:
    data = lk.data.load("movies")
    recipe = registry.find("recipes", "movies_gru")()
    words = len(data.train.schema.vocabulary)
    known = {
        "classes": data.classes,
        "embedding": "embed",
        "baseline": recipe.baseline(data.train),
        "padding": recipe.padding,
    }
    return Family("film reviews", 0.1, lambda: Bag(words), lambda: (data.train, data.test), known, 60, 1e-2, 1024)


def _decisive_words() -> Family:
    """Twelve words of which one decides, attended to as they are: here attention is what the answer comes from."""
    draw = np.random.default_rng(0)
    x, y = draw.integers(3, 20, (900, 12)), draw.integers(0, 2, 900)
    x[np.arange(900), draw.integers(0, 12, 900)] = 1 + y
    known = {"classes": ("a", "b"), "embedding": "embed"}
    parts = _Rows(x[:400], y[:400]), _Rows(x[400:], y[400:])
    return Family("a decisive word", 0.1, Attending, lambda: parts, known, 80, 2e-2, 256, 100, ("attention",))


@dataclass(frozen=True)
class _Rows:
    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self.x[rows]


class Scale(nn.Module):
    """Columns to mean 0 and standard deviation 1."""

    def __init__(self, mean: Tensor, spread: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.spread  # type: ignore[operator]


class Bag(nn.Module):
    """The mean of the words' vectors, then dense layers."""

    def __init__(self, words: int, width: int = 16) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(words, width), dense(width, 16, 2)

    def forward(self, x: Tensor) -> Tensor:
        present = (x != 0).to(torch.float32)[..., None]
        return self.head((self.embed(x) * present).sum(1) / present.sum(1).clamp_min(1))


class Attending(nn.Module):
    """One layer of attention over words, and their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix, self.head = nn.Embedding(20, 16), Attention(16, 1, 0.0), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.mix(self.embed(x)).mean(1))


def dense(inputs: int, width: int, classes: int) -> nn.Module:
    """Two hidden layers."""
    layers = [nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, classes)]
    return nn.Sequential(nn.Flatten(), *layers)


def small_cnn() -> nn.Module:
    """Two convolutions, one pooling."""
    convolutions = [
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
    ]
    return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(256, 10))


def trained(family: Family, seeds: list[int]) -> Iterator[Sound]:
    """One model a seed."""
    train, test = family.data()
    for i in range(0, len(seeds), TOGETHER):
        for module in _stack(family, train, seeds[i : i + TOGETHER]):
            model = lk.wrap(module, **family.wrapped, name=family.name)
            with torch.no_grad():
                answers = model(model.tensor(test.x[:500])).argmax(1).numpy()
            yield Sound(family.name, model, float((answers == test.y[:500]).mean()), train.x, test)


def _stack(family: Family, train: Any, seeds: list[int]) -> list[nn.Module]:
    """Modules trained together: each from its own start, on its own rows."""
    modules = []
    for seed in seeds:
        torch.manual_seed(seed)
        modules.append(family.make().eval())
    state, buffers = stack_module_state(modules)  # type: ignore[arg-type]
    blank = copy.deepcopy(modules[0]).to("meta")
    x, y = torch.tensor(np.asarray(train.x)), torch.tensor(np.asarray(train.y))
    optimizer = torch.optim.Adam(state.values(), family.rate)
    draw = torch.Generator().manual_seed(seeds[0])

    def loss(own: Any, buffer: Any, rows: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(functional_call(blank, (own, buffer), (rows,)), labels)

    for _ in range(family.steps):
        rows = torch.randint(len(x), (len(seeds), min(family.rows, len(x))), generator=draw)
        optimizer.zero_grad()
        vmap(loss)(state, buffers, x[rows], y[rows]).sum().backward()
        optimizer.step()
    for i, module in enumerate(modules):
        module.load_state_dict({k: v[i].detach() for k, v in (state | buffers).items()})
    return modules
