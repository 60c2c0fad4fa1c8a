"""Learners: what is trained many times over, from a seed to a module with fresh weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labkit.core.refused import Refused, unknown
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.models.normalize import Normalize
from labkit.models.texts import PADDING

LARGE = 2_000_000  # numbers in a module beyond which it is not trained from fresh weights
HIDDEN = (128, 64)
WIDTH = 32  # of a word's vector


@dataclass(frozen=True)
class Learner:
    """What is trained.

    Attributes:
        name: "network", "own", or the module's or function's name.
        about: in words, for a report.
        make: seed -> a fresh module that gives (n, classes) logits.
    """

    name: str
    about: str
    make: Callable[[int], nn.Module]


def learner(given: Any, split: Split, model: Classifier | None = None) -> Learner:
    """What to train on a split: "network", a small dense net for its kind of data; "own", the audited model's architecture
    with fresh weights; a module, likewise; or a function from a seed to a module.

    Raises:
        Refused: an unknown name; "own" without a torch model that has weights, at most 2 million of them; other classes
            than the data's.
    """
    if given == "network":
        return _network(split)
    if given == "own":
        return _own(model, split)
    if isinstance(given, Classifier):
        return _own(given, split)
    if isinstance(given, nn.Module):
        return _own(Classifier(given, split.classes, name=type(given).__name__), split)
    if callable(given):
        name = getattr(given, "__name__", type(given).__name__)
        return Learner(name, f"{name}(seed)", given)
    raise unknown("a learner", given, ("network", "own"))


class Encode(nn.Module):
    """(n, features) of a table -> (n, width): numbers standardised, categories as one number each 0 or 1.

    Args:
        sizes: for each feature the number of its categories; 0 for a number.
        mean, std: of the numbers.

    Attributes:
        fixed: that it needs no weights, so that a stack of models does it once.
    """

    fixed = True
    numbers: Tensor
    owner: Tensor
    code: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, sizes: tuple[int, ...], mean: np.ndarray, std: np.ndarray) -> None:
        super().__init__()
        owner = np.repeat(np.arange(len(sizes)), sizes)
        code = np.concatenate([np.arange(s) for s in sizes]) if sizes else np.zeros(0)
        self.register_buffer("numbers", torch.tensor(np.flatnonzero(np.array(sizes) == 0)))
        self.register_buffer("owner", torch.tensor(owner, dtype=torch.int64))
        self.register_buffer("code", torch.tensor(code, dtype=torch.float32))
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))
        self.width = len(owner) + len(mean)

    def forward(self, x: Tensor) -> Tensor:
        numbers = (x[:, self.numbers] - self.mean) / self.std
        return torch.cat([numbers, (x[:, self.owner] == self.code).to(numbers.dtype)], 1)


class MeanOfWords(nn.Module):
    """(n, tokens) word numbers -> (n, width): the mean of the words' vectors, padding left out."""

    def __init__(self, words: int, width: int = WIDTH) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width)

    def forward(self, x: Tensor) -> Tensor:
        real = (x != PADDING)[:, :, None].to(self.embed.weight.dtype)
        return (self.embed(x) * real).sum(1) / real.sum(1).clamp_min(1)


class PictureAndWords(nn.Module):
    """(n, values) of a picture and then its words -> (n, width)."""

    def __init__(self, pixels: int, words: int, mean: float, std: float) -> None:
        super().__init__()
        self.pixels = pixels
        self.normalize = Normalize(mean, std)
        self.words = MeanOfWords(words)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.normalize(x[:, : self.pixels]), self.words(x[:, self.pixels :].long())], 1)


def _network(split: Split) -> Learner:
    """Two hidden layers with ReLU on what the inputs are read as."""
    first, width, read = _reading(split)
    classes = len(split.classes)

    def make(seed: int) -> nn.Module:
        front = first()
        sizes = (width, *HIDDEN)
        dense = [part for a, b in zip(sizes, HIDDEN) for part in (nn.Linear(a, b), nn.ReLU())]
        return nn.Sequential(*front, *dense, nn.Linear(HIDDEN[-1], classes))

    return Learner("network", f"{read}, hidden layers of {' and '.join(map(str, HIDDEN))} units with ReLU", make)


def _reading(split: Split) -> tuple[Callable[[], list[nn.Module]], int, str]:
    """The first layers, how wide what they give is, and what they do in words."""
    schema, x = split.schema, split.x
    if schema.modality == "text":
        words = len(schema.vocabulary)
        return lambda: [MeanOfWords(words)], WIDTH, f"the mean of word vectors of length {WIDTH}"
    if schema.modality == "image+text":
        mean, std = _spread(x[:, : schema.pixels].ravel())
        words, width = len(schema.vocabulary), schema.pixels + WIDTH
        return (
            lambda: [PictureAndWords(schema.pixels, words, float(mean), float(std))],
            width,
            "pixels and word vectors",
        )
    if schema.modality == "tabular":
        numbers = [size == 0 for size in schema.sizes]
        encode = Encode(schema.sizes, *_spread(x[:, numbers]))
        return lambda: [copy.deepcopy(encode)], encode.width, "standardised numbers and one-hot categories"
    mean, std = _spread(x.ravel())
    whole = math.prod(x.shape[1:])
    return lambda: [nn.Flatten(), Normalize(float(mean), float(std))], whole, "standardised values"


def _spread(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    std = x.std(0, dtype=np.float64)
    return x.mean(0, dtype=np.float64), np.where(std > 0, std, 1.0)


class Read(nn.Module):
    """A module's logits, as its Classifier reads them."""

    def __init__(self, model: Classifier, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.model = [model]  # in a list, or its module would be a second one

    def forward(self, x: Tensor) -> Tensor:
        model = self.model[0]
        output = self.module(x)
        return model.logits(output) if model.read is None else model.read(output)


def _own(model: Classifier | None, split: Split) -> Learner:
    if not isinstance(model, Classifier):
        given = "no model" if model is None else f"a {type(model).__name__}"
        raise Refused("learner='own'", given, "the audited torch model beside its data, or learner='network'")
    asked = f"training {model.name} anew"
    if "gradients" not in model.capabilities or model.outputs == "values":
        raise Refused(asked, "a model that gives probabilities alone or no classes", "learner='network'")
    numbers = sum(p.numel() for p in model.module.parameters() if p.is_floating_point())
    if not 0 < numbers <= LARGE:
        given = f"{numbers:,} weights" if numbers else "a module without parameters"
        raise Refused(asked, given, f"a module of at most {LARGE:,} weights, or learner='network'")
    if len(model.classes) != len(split.classes):
        raise Refused(asked, f"{len(model.classes)} classes", f"{len(split.classes)}, as the data")

    def make(seed: int) -> nn.Module:
        module = copy.deepcopy(model.module).train()
        for parameter in module.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
        forget(module)
        return module if model.read is None and model.outputs == "logits" else Read(model, module)

    return Learner("own", f"{model.name} with fresh weights ({numbers:,})", make)


@torch.no_grad()
def forget(module: nn.Module) -> None:
    """Draw all weights anew, from torch's own generator: as each layer draws its own, or, of a layer that says nothing of
    it, the same numbers in random places."""
    drawn: set[int] = set()
    for part in module.modules():
        draw = getattr(part, "reset_parameters", None)
        if callable(draw):
            draw()
            drawn |= {id(p) for p in part.parameters(recurse=False)}
    for parameter in module.parameters():
        if id(parameter) not in drawn:
            parameter.copy_(parameter.flatten()[torch.randperm(parameter.numel())].view_as(parameter))
