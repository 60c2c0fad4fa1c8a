"""Rows unlike those that a model knows: corrupted, made of noise, shuffled, or from elsewhere."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.analyses._examples import shaped
from labkit.analyses._guard import in_words
from labkit.analyses._preflight import check_inputs
from labkit.core import registry
from labkit.core.draws import Draws
from labkit.core.refused import Refused, unknown
from labkit.corruptions._applying import Ground, corrupt, corruption, fitting
from labkit.data.schema import Schema
from labkit.data.split import Split
from labkit.models.classifier import Classifier

Given = Split | str | Callable[..., Any]
PADDING = 0  # the word number that stands for nothing; 1 is no known word


@dataclass(frozen=True)
class Shift:
    """Rows to be told from the known ones: ``at`` makes some of the ``n``. ``y``: their true classes, where they have some;
    ``split``: where they come from, if from elsewhere."""

    name: str
    far: bool
    n: int
    at: Callable[[slice], np.ndarray]
    y: np.ndarray | None = None
    split: Split | None = None


@dataclass(frozen=True)
class Source:
    """What shifts are made from: rows with a stream of random numbers each, and what corruptions may ask for."""

    model: Classifier
    rows: Split
    draws: Draws
    ground: Ground
    severity: int

    def shift(self, asked: str, given: Given, far: bool) -> Shift:
        """One shift, from a split, the name of a corruption or of what is made here, or a corruption of the user's own."""
        if isinstance(given, Split):
            shaped(asked, f"the shift {given.name}", given.x, self.rows.x)
            check_inputs(f"{asked} against {given.name}", self.model, given.x)
            return Shift(given.name, far, len(given), lambda rows: given.x[rows], split=given)
        name, x = registry.label(given), self.rows.x
        stream = self.draws.spawn(zlib.crc32(name.encode()))
        if isinstance(given, str) and name in MADE:
            return Shift(name, far, len(x), lambda rows: MADE[name](x[rows], self.ground, stream[rows]))
        if isinstance(given, str) and name not in registry.names("corruptions"):
            raise unknown(f"{asked} against", name, (*MADE, *fitting(self.ground.modality)))
        chosen = corruption(given)

        def corrupted(rows: slice) -> np.ndarray:
            with in_words(f"the corruption {name}", "a function (x, severity, generator) that gives rows like x"):
                return corrupt(chosen, x[rows], self.severity, stream[rows], self.ground, self.rows.texts[rows])

        return Shift(name, far, len(x), corrupted, self.rows.y)


def one_of_each_family(source: Source) -> list[str]:
    """For each family of corruptions that fits the data, the first that these data allow."""
    found: dict[str, str] = {}
    for name in fitting(source.ground.modality):
        family = corruption(name).family
        if family in found:
            continue
        try:
            source.shift("a shift", name, far=False).at(slice(0, 1))
        except Refused:
            continue
        found[family] = name
    return list(found.values())


def listed(asked: str, given: Any) -> list[Given]:
    """One shift or several, as a list."""
    if isinstance(given, Split | str) or callable(given):
        return [given]
    if not isinstance(given, Iterable):
        raise Refused(asked, repr(given)[:60], "splits, names of corruptions, or " + " or ".join(map(repr, MADE)))
    return list(given)


def uniform_noise(x: np.ndarray, ground: Ground, draws: Draws) -> np.ndarray:
    """Every value anywhere in its range; categories and words any that there are, texts as long as they were."""
    flat = x.reshape(len(x), -1)
    low, high = _range(ground)
    whole = draws.uniform(flat.shape[1]).astype(np.float64)
    found = low + whole * (high - low)
    for at, size in _coded(ground.schema, flat.shape[1]):
        first = 2 if ground.schema.vocabulary else 0
        word = first + np.floor(whole[:, at] * max(size - first, 1))
        found[:, at] = np.where(flat[:, at] == PADDING, PADDING, word) if ground.schema.vocabulary else word
    return found.reshape(x.shape).astype(x.dtype)


def shuffled(x: np.ndarray, ground: Ground, draws: Draws) -> np.ndarray:
    """The values of each row in another order: pixels (channels together), samples, steps or words, padding staying last.
    In a table, where places have meanings, each column of another row, so that only what binds columns together is lost."""
    schema, flat, pixels = ground.schema, x.reshape(len(x), -1).copy(), ground.schema.pixels
    if schema.modality == "tabular":
        usual = ground.background.reshape(len(ground.background), -1)
        other = draws.integers(len(usual), flat.shape[1])
        return np.take_along_axis(usual, other, 0).reshape(x.shape).astype(x.dtype)
    if pixels:
        flat[:, :pixels] = _places(flat[:, :pixels].reshape(-1, *schema.picture), draws).reshape(len(x), -1)
    if schema.vocabulary:
        words = flat[:, pixels:]
        order = np.argsort(np.where(words == PADDING, 2, draws.spawn(1).uniform(words.shape[1])), axis=1, kind="stable")
        flat[:, pixels:] = np.take_along_axis(words, order, 1)
        return flat.reshape(x.shape)
    return _places(x, draws)


def _places(x: np.ndarray, draws: Draws) -> np.ndarray:
    """Each row's places in another order: channels stay together; a series has its channels before its steps."""
    groups = x.reshape(len(x), x.shape[1] if x.ndim > 2 else 1, -1)
    order = np.argsort(draws.uniform(groups.shape[2]), axis=1, kind="stable")
    return np.take_along_axis(groups, order[:, None], 2).reshape(x.shape)


def _range(ground: Ground) -> tuple[np.ndarray, np.ndarray]:
    """(values,) the least and greatest value at every place: the bounds, else as far as the background goes."""
    usual = ground.background.reshape(len(ground.background), -1)
    low, high = usual.min(0).astype(np.float64), usual.max(0).astype(np.float64)
    if ground.bounds is not None:
        low[:], high[:] = ground.bounds
    if ground.schema.pixels:
        low[: ground.schema.pixels], high[: ground.schema.pixels] = 0.0, 1.0
    return low, high


def _coded(schema: Schema, width: int) -> list[tuple[Any, int]]:
    """The places that hold numbers of categories or words, and how many of these there are."""
    if schema.vocabulary:
        return [(slice(schema.pixels, width), len(schema.vocabulary))]
    return [(i, size) for i, size in enumerate(schema.sizes) if size]


MADE = {"uniform_noise": uniform_noise, "shuffled": shuffled}
