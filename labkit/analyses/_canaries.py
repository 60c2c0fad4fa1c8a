"""Rows that belong to no data: how they are made, and how sure models are of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.analyses._memory import parts_of
from labkit.core.resampling import stream
from labkit.data.split import Split

WRONG_LABEL, RANDOM_INPUT, MIXED_INPUT = KINDS = ("wrong label", "random input", "mixed input")


@dataclass(frozen=True)
class Planting:
    """Which rows are planted in which models. Axes: kinds, then numbers of copies, then canaries.

    Attributes:
        host: the rows that every model sees.
        x, y: (kinds, planted + twins, ...) inputs and labels: canaries in the order of ``repeats``, then their twins.
        saw: (models, kinds, repeats, count) whether a model sees a canary. as_if: (models, kinds, twins) the same of twins,
            as they might have been planted.
    """

    host: Split
    repeats: tuple[int, ...]
    x: np.ndarray
    y: np.ndarray
    saw: np.ndarray
    as_if: np.ndarray

    @classmethod
    def drawn(
        cls,
        train: Split,
        rows: int,
        kinds: tuple[str, ...],
        repeats: tuple[int, ...],
        shape: tuple[int, int, int],
        coins: bool,
        seed: int,
    ) -> Planting:
        """``shape``: models, canaries of a kind and number of copies, twins of a kind. With ``coins`` a fair one decides of
        each canary and model alone; else every model sees half of the canaries of each kind and number."""
        models, count, twins = shape
        whole = count * len(repeats) + twins
        order = stream(seed, "canaries", "rows").permutation(len(train))
        spare, host = train[order[:whole]], train[order[whole:][:rows]]
        pairs = [made(kind, spare, host, whole, stream(seed, "canaries", kind)) for kind in kinds]

        def placed(size: int, cells: int, name: str) -> np.ndarray:
            generator = stream(seed, "canaries", name)
            if coins:
                return generator.random((models, cells, size)) < 0.5
            return np.stack([parts_of(models, size, 0.5, generator) for _ in range(cells)], 1)

        saw = placed(count, len(kinds) * len(repeats), "planted").reshape(models, len(kinds), len(repeats), count)
        as_if = placed(twins, len(kinds), "as if planted")
        return cls(host, repeats, np.stack([x for x, _ in pairs]), np.stack([y for _, y in pairs]), saw, as_if)

    def training(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Inputs and labels with every copy, and (models, rows) which of them each model sees."""
        models, kinds, _, count = self.saw.shape
        planted = len(self.repeats) * count
        copies = np.tile(np.repeat(self.repeats, count), kinds)
        x = np.repeat(self.x[:, :planted].reshape(-1, *self.x.shape[2:]), copies, 0)
        y = np.repeat(self.y[:, :planted].ravel(), copies)
        seen = np.repeat(self.saw.reshape(models, -1), copies, 1)
        everyone = np.ones((models, len(self.host)), bool)
        return np.concatenate([self.host.x, x]), np.concatenate([self.host.y, y]), np.hstack([everyone, seen])


def made(
    kind: str, spare: Split, sample: Split, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """So many inputs and labels of one kind.

    A wrong label stands on a row of ``spare``, which the models do not see otherwise; the other kinds have any label. A
    random input is noise within what inputs may be, for numbers of a table up to half of their range beyond it; of a
    mixed one each entry is another row's of ``sample``.
    """
    classes = len(spare.classes)
    if kind == WRONG_LABEL:
        return spare.x[:count], (spare.y[:count] + generator.integers(1, classes, count)) % classes
    inputs = _random(sample, count, generator) if kind == RANDOM_INPUT else _mixed(sample.x, count, generator)
    return inputs.astype(sample.x.dtype), generator.integers(0, classes, count)


def _mixed(x: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    flat = x.reshape(len(x), -1)
    rows = generator.integers(len(x), size=(count, flat.shape[1]))
    return flat[rows, np.arange(flat.shape[1])].reshape(count, *x.shape[1:])


def _random(split: Split, count: int, generator: np.random.Generator) -> np.ndarray:
    schema, x = split.schema, split.x
    shape = (count, *x.shape[1:])
    if schema.modality == "tabular":
        low, high = x.min(0), x.max(0)
        numbers = generator.uniform(low - (high - low) / 2, high + (high - low) / 2, shape)
        sizes = np.array(schema.sizes)
        return np.where(sizes > 0, generator.integers(0, np.maximum(sizes, 1), shape), numbers)
    if schema.modality in ("text", "image+text"):
        model = x[generator.integers(len(x), size=count)]
        words = generator.integers(2, len(schema.vocabulary), shape)
        found = np.where(model != 0, words, 0).astype(x.dtype)
        found[:, : schema.pixels] = generator.random((count, schema.pixels))
        return found
    if schema.bounds is not None:
        return generator.uniform(*schema.bounds, shape)
    return generator.normal(x.mean(), x.std(), shape)


def mean_of_others(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """(models, n) for each model the mean of the other models' values, of those that count; nan where there is none."""
    total, count = (values * among).sum(0) - values * among, among.sum(0) - among
    return np.divide(total, count, out=np.full(values.shape, np.nan), where=count > 0)


def exposure(own: np.ndarray, twins: np.ndarray) -> np.ndarray:
    """(models, n) exposures in bits: log2 of the number of candidates less log2 of the rank among them, the canary counted
    in and behind its equals (Carlini et al., 2019, arXiv 1802.08232)."""
    ordered = np.sort(twins, 1)
    ahead = np.stack([len(t) - np.searchsorted(t, o, side="left") for o, t in zip(own, ordered)])
    return np.asarray(np.log2(twins.shape[1] + 1) - np.log2(1 + ahead))


def exposure_by_chance(twins: int) -> float:
    """The mean exposure of a rank drawn at random."""
    return float(np.log2(twins + 1) - np.log2(np.arange(1, twins + 2)).mean())
