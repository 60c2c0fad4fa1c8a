"""Cues in levels, the same in both parts, and how each is taken from one input into another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from labkit.analyses._cues import Cue, cues
from labkit.data.split import Split

LEVELS, GRID, KINDS, WORDS = 10, 4, 24, 20
# Categories that a cue has at most, the most frequent: a name or a number of each row would be a level of its own.
MOST = 100
# Rows that a kind of patch has at least, of those that the kinds are made by.
FEWEST = 10
Exchange = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Reading:
    """One cue of both parts.

    Attributes:
        train, test: (n,) levels from 0; -1 where training has no such level, or it is none of the frequent ones.
        names: of the levels. column: whether it is a column or a word, which a model may read by right.
        exchange: (inputs, training inputs) -> inputs with the others' cue; None where it is no part of the input.
    """

    name: str
    train: np.ndarray
    test: np.ndarray
    names: tuple[str, ...]
    column: bool = False
    exchange: Exchange | None = None


def readings(train: Split, test: Split, given: dict[str, Sequence[np.ndarray]], seed: int) -> list[Reading]:
    """Every cue that has two levels or more in training: those that the caller gives (values of both parts by name), groups,
    and what the kind of data offers."""
    found = [_values(name, np.asarray(a), np.asarray(b)) for name, (a, b) in given.items()]
    columns = {f.name for f in train.schema.features}
    for name in train.groups:
        if name in test.groups and name not in columns:
            found.append(_values(name, train.groups[name], test.groups[name]))
    for first, other in zip(cues(train), cues(test), strict=True):
        if not (first.where and train.schema.modality == "image"):
            found.append(_cue(first, other, train))
    if train.schema.modality == "image":
        found += _patches(train, test, seed)
    if train.schema.modality == "text":
        found += _words(train, test)
    return [r for r in found if len(np.unique(r.train[r.train >= 0])) > 1]


def _values(name: str, train: np.ndarray, test: np.ndarray) -> Reading:
    """Categories by name, or numbers in levels."""
    if train.dtype.kind == "f" or (train.dtype.kind in "iu" and len(np.unique(train)) > LEVELS):
        return Reading(name, *_levels(train.astype(float), test.astype(float)))
    names = [v for v in _frequent(train) if str(v)]
    place = {v: i for i, v in enumerate(names)}
    first, other = (np.array([place.get(v, -1) for v in values]) for values in (train, test))
    return Reading(name, first, other, tuple(map(str, names)))


def _frequent(values: np.ndarray) -> np.ndarray:
    """The most frequent values, in order."""
    found, count = np.unique(values, return_counts=True)
    return np.sort(found[np.argsort(-count, kind="stable")[:MOST]])


def _levels(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Levels of about equal size by the training values, a hole being a level of its own."""
    values = np.unique(train[~np.isnan(train)])
    cuts = (values[1:] + values[:-1]) / 2
    if len(values) > LEVELS:
        cuts = np.unique(np.nanquantile(train, np.arange(1, LEVELS) / LEVELS))
    ends = [f"{c:.3g}" for c in cuts]
    names = (
        [f"to {a}" for a in ends[:1]] + [f"{a} to {b}" for a, b in pairwise(ends)] + [f"from {b}" for b in ends[-1:]]
    )
    first, other = (np.where(np.isnan(v), len(cuts) + 1, np.searchsorted(cuts, v, side="left")) for v in (train, test))
    return first, other, (*(names or ["all"]), "missing")


def _cue(first: Cue, other: Cue, split: Split) -> Reading:
    modality = split.schema.modality
    if modality == "tabular":
        at = first.where[0]
        assert isinstance(at, int)
        exchange = _column(at)
        if first.coded:
            categories = split.schema.features[at].categories
            kept = _frequent(first.values.astype(int))
            level = np.full(len(categories), -1)
            level[kept] = np.arange(len(kept))
            inside, outside = (level[cue.values.astype(int)] for cue in (first, other))
            return Reading(first.name, inside, outside, tuple(categories[k] for k in kept), True, exchange)
        return Reading(first.name, *_levels(first.values, other.values), column=True, exchange=exchange)
    light = _brightness(split.schema.bounds) if first.name == "mean brightness" and modality == "image" else None
    return Reading(first.name, *_levels(first.values, other.values), exchange=light)


def _column(at: int) -> Exchange:
    def exchange(x: np.ndarray, others: np.ndarray) -> np.ndarray:
        x = x.copy()
        x[:, at] = others[:, at]
        return x

    return exchange


def _brightness(bounds: tuple[float, float] | None) -> Exchange:
    def exchange(x: np.ndarray, others: np.ndarray) -> np.ndarray:
        moved = x + (others.mean((1, 2, 3)) - x.mean((1, 2, 3)))[:, None, None, None]
        return np.clip(moved, *(bounds or (None, None))).astype(x.dtype)

    return exchange


def _patches(train: Split, test: Split, seed: int) -> list[Reading]:
    """A grid of patches over the picture, each sorted into kinds by a small tree that half of the training rows tell which
    patches go with which label; the other half alone is counted."""
    from sklearn.tree import DecisionTreeClassifier

    found = []
    sorting = np.arange(len(train)) % 2 == 0
    rows, columns = (np.linspace(0, n, min(GRID, n) + 1).astype(int) for n in train.x.shape[2:])
    for r in range(len(rows) - 1):
        for c in range(len(columns) - 1):
            place = (..., slice(rows[r], rows[r + 1]), slice(columns[c], columns[c + 1]))
            flat = [s.x[place].reshape(len(s), -1) for s in (train, test)]
            tree = DecisionTreeClassifier(max_leaf_nodes=KINDS, min_samples_leaf=FEWEST, random_state=seed % 2**32)
            tree.fit(flat[0][sorting], train.y[sorting])
            leaves = np.flatnonzero(tree.tree_.children_left < 0)
            first, other = (np.searchsorted(leaves, tree.apply(v)) for v in flat)
            names = tuple(f"kind {k + 1}" for k in range(len(leaves)))
            first = np.where(sorting, -1, first)
            found.append(Reading(f"patch {r + 1}, {c + 1}", first, other, names, exchange=_region(place)))
    return found


def _region(place: tuple[object, ...]) -> Exchange:
    def exchange(x: np.ndarray, others: np.ndarray) -> np.ndarray:
        x = x.copy()
        x[place] = others[place]  # type: ignore[index]
        return x

    return exchange


def _words(train: Split, test: Split) -> list[Reading]:
    """The words that go most with the label in training, each there or not."""
    words = len(train.schema.vocabulary)
    inside = np.zeros((len(train.classes), words))
    for k in range(len(inside)):
        rows = train.x[train.y == k]
        own = np.unique(np.arange(len(rows))[:, None] * words + rows)  # a word counts once a text
        inside[k] = np.bincount(own % words, minlength=words)
    expected = inside.sum(0) * np.bincount(train.y, minlength=len(inside))[:, None] / len(train)
    surprise = np.divide((inside - expected) ** 2, expected, out=np.zeros_like(inside), where=expected >= 5).sum(0)
    surprise[:2] = 0
    found = []
    for word in np.argsort(-surprise, kind="stable")[:WORDS]:
        first, other = ((s.x == word).any(1).astype(int) for s in (train, test))
        name = f"the word {train.schema.vocabulary[word]!r}"
        found.append(Reading(name, first, other, ("not there", "there"), True, exchange=_word(int(word))))
    return found


def _word(word: int) -> Exchange:
    """Puts the word in place of another, or an unknown one in its place, as the other text has it or not."""

    def exchange(x: np.ndarray, others: np.ndarray) -> np.ndarray:
        x, wanted = x.copy(), (others == word).any(1)
        at = np.arange(len(x)) % np.maximum(np.count_nonzero(x, axis=1), 1)
        add = wanted & ~(x == word).any(1)
        x[~wanted] = np.where(x[~wanted] == word, 1, x[~wanted])
        x[np.flatnonzero(add), at[add]] = word
        return x

    return exchange
