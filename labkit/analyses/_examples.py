"""What examples look like in a record: their pictures, or their entries as text; and inputs as plain vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from labkit.analyses._guard import Run, batched
from labkit.core.refused import Refused
from labkit.core.registry import names
from labkit.data.split import Dataset, Split
from labkit.models.features import Layer

SHOWN = 16


def labelled(asked: str, what: str, split: Any, classes: tuple[str, ...], x: np.ndarray | None = None) -> Split:
    """A split of the model's classes, with at least one row, of inputs shaped like x; anything else is refused."""
    if not isinstance(split, Split):
        raise Refused(asked, f"{what} of type {type(split).__name__}", "a Split with labels, such as data.train")
    if split.classes != classes or not len(split):
        given = f"{what} {split.name} with {len(split)} rows of the classes {list(split.classes)[:4]}"
        raise Refused(asked, given, "a split with rows of the model's classes, in the same order")
    if x is not None:
        shaped(asked, what, split.x, x)
    return split


def shaped(asked: str, what: str, inputs: np.ndarray, x: np.ndarray) -> None:
    """Refuse inputs that have another shape or kind of number than x."""
    if inputs.shape[1:] != x.shape[1:] or inputs.dtype.kind != x.dtype.kind:
        given = f"{what} of shape {inputs.shape[1:]} and type {inputs.dtype}"
        raise Refused(asked, given, f"shape {x.shape[1:]} and type {x.dtype}, like the other inputs")


def comes_with_labkit(data: Dataset) -> bool:
    """Whether these training rows stand, as they are, in a data set that labkit ships: only then are they shown unasked.
    The name alone would do for anybody's table that is called like one."""
    if data.name not in names("datasets"):
        return False
    from labkit.data import load

    try:
        shipped = load(data.name).train
    except Refused:
        return False
    rows = {row.tobytes() for row in shipped.x}
    return shipped.x.shape[1:] == data.train.x.shape[1:] and all(row.tobytes() in rows for row in data.train.x)


def count(asked: str, name: str, value: Any, low: int, high: int) -> int:
    """A whole number in a range; anything else is refused."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise Refused(asked, f"{name}={value!r}", f"a whole number from {low} to {high}")
    return int(value)


def pictures(split: Split, rows: np.ndarray) -> np.ndarray | None:
    """(rows, channels, height, width) of some examples, shaped like ``rows``; None where they have no picture."""
    schema, x = split.schema, split.x[rows.ravel()]
    if schema.modality == "image+text":
        x = x[:, : schema.pixels].reshape(len(x), *schema.picture)
    elif schema.modality != "image":
        return None
    return x.reshape(*rows.shape, *x.shape[1:])


def texts(split: Split, rows: np.ndarray) -> tuple[str, ...]:
    """One line of text an example; empty for images, sound and series."""
    schema = split.schema
    if schema.modality not in ("tabular", "text", "image+text"):
        return ()
    if split.texts:
        return tuple(split.texts[i] for i in rows)
    if schema.modality == "tabular":
        names = [f.name for f in schema.features]
        return tuple(", ".join(f"{n} {v}" for n, v in zip(names, schema.show(split.x[i]))) for i in rows)
    return tuple(" ".join(schema.show(split.x[i])) for i in rows)


def all_texts(split: Split, index: np.ndarray) -> tuple[tuple[str, ...], ...]:
    """(n, k) numbers of examples as text; empty for images, sound and series."""
    found = tuple(texts(split, rows) for rows in index)
    return found if any(found) else ()


class Least:
    """The ``k`` least values of each row so far, merged batch by batch; the lower number first among equals.

    Attributes:
        index, values: (n, k) numbers and values, the least first.
    """

    def __init__(self, n: int, k: int) -> None:
        self.index = np.zeros((n, k), np.int64)
        self.values = np.full((n, k), np.inf)

    def merge(self, values: np.ndarray, start: int) -> None:
        """(n, batch) values of the numbers from ``start`` on."""
        both = np.hstack([self.values, values])
        numbers = np.hstack([self.index, np.broadcast_to(np.arange(values.shape[1]) + start, values.shape)])
        order = np.argsort(both, axis=1, kind="stable")[:, : self.index.shape[1]]
        self.values = np.take_along_axis(both, order, 1)
        self.index = np.take_along_axis(numbers, order, 1)


def features(run: Run, layer: Layer, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, width) features and (n, classes) logits as float32, in batches, without gradients."""
    import torch

    width = 0

    def part(rows: slice) -> torch.Tensor:
        nonlocal width
        with torch.no_grad():
            values, out = layer(layer.model.tensor(x[rows]))
        width = values.shape[1]
        return torch.cat([values, out], 1).float()

    both = batched(run, f"features at {layer.name}", part, len(x)).numpy()
    return both[:, :width], both[:, width:]


def input_space(train: Split) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
    """What inputs are compared by where nothing was learned, in words, and (n, ...) inputs as (n, width) vectors.

    Pixels, samples and values as they are; numbers of a table standardised and its categories one-hot; words counted
    and weighed by how rare they are (TF-IDF), whatever their order.
    """
    schema, pixels = train.schema, train.schema.pixels
    if schema.modality == "tabular":
        return "standardised numbers and one-hot categories", _columns(train)
    if schema.modality not in ("text", "image+text"):
        noun = {"image": "pixels", "audio": "samples"}.get(schema.modality, "values")
        return noun, lambda x: x.reshape(len(x), -1).astype(np.float64)
    weigh = _words(train.x[:, pixels:], len(schema.vocabulary))
    noun = "pixels and words" if pixels else "words (TF-IDF)"
    return noun, lambda x: np.hstack([x[:, :pixels].astype(np.float64), weigh(x[:, pixels:])])


def _columns(train: Split) -> Callable[[np.ndarray], np.ndarray]:
    sizes = train.schema.sizes
    middle, spread = train.x.mean(0, np.float64), train.x.std(0, dtype=np.float64)

    def encoded(x: np.ndarray) -> np.ndarray:
        parts = []
        for i, size in enumerate(sizes):
            # two one-hot rows of different categories lie as far apart as two numbers one standard deviation apart
            one_hot = np.arange(size) == x[:, i, None]
            number = (x[:, i, None] - middle[i]) / (spread[i] or 1.0)
            parts.append(one_hot / np.sqrt(2) if size else number)
        return np.hstack(parts).astype(np.float64)

    return encoded


def _words(train: np.ndarray, words: int) -> Callable[[np.ndarray], np.ndarray]:
    def counts(x: np.ndarray) -> np.ndarray:
        found = np.zeros((len(x), words))
        row, place = np.nonzero(x)  # word 0 is padding
        np.add.at(found, (row, x[row, place].astype(np.int64)), 1)
        return found

    inside = np.zeros(words)
    for row in train:
        inside[np.unique(row[row != 0]).astype(np.int64)] += 1
    rarity = np.log((1 + len(train)) / (1 + inside)) + 1

    def weighed(x: np.ndarray) -> np.ndarray:
        values = np.log1p(counts(x)) * rarity
        return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)

    return weighed
