"""A data set's parts, and the data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from labkit.core.record import array_digest, freeze
from labkit.core.refused import Refused
from labkit.data.schema import Schema


@dataclass(frozen=True, eq=False)
class Split:
    """Examples with labels and groups, in the data's natural units.

    Attributes:
        x: (n, *schema.shape) inputs: float32, or int64 word numbers for text.
        y: (n,) int64 class indices.
        groups: for each sensitive feature the group name of each example, "" where unknown.
        texts: the raw texts, for text data.
    """

    x: np.ndarray
    y: np.ndarray
    schema: Schema
    classes: tuple[str, ...]
    name: str
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)
    texts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", {g: _names(v) for g, v in self.groups.items()})
        freeze(self)
        sizes = {"x": len(self.x), "y": len(self.y)} | {g: len(v) for g, v in self.groups.items()}
        if self.texts:
            sizes["texts"] = len(self.texts)
        if len(set(sizes.values())) != 1:
            given = ", ".join(f"{k} has {v}" for k, v in sizes.items())
            raise Refused(f"the split {self.name}", f"parts of different length: {given}", "one entry an example")

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: slice | np.ndarray | list[int]) -> Split:
        """Some of the examples: a slice, a mask, or positions."""
        if isinstance(rows, int | np.integer):
            rows = [int(rows)]
        try:
            picked = np.arange(len(self))[rows]
        except (IndexError, TypeError, ValueError) as error:
            instead = "a slice, a mask with one entry an example, or positions among them"
            raise Refused(f"rows of the {len(self)} of {self.name}", str(error), instead) from None
        return replace(
            self,
            x=self.x[picked],
            y=self.y[picked],
            groups={g: v[picked] for g, v in self.groups.items()},
            texts=tuple(self.texts[i] for i in picked) if self.texts else (),
        )

    def named(self, name: str) -> Split:
        """The same examples under another name."""
        return replace(self, name=name)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of inputs, labels and groups."""
        return array_digest(self.x, self.y, *(self.groups[g] for g in sorted(self.groups)))

    def describe(self) -> dict[str, Any]:
        """Name, digest and size, as a provenance records them."""
        return {"name": self.name, "sha256": self.digest, "n": len(self)}


def _names(values: Any) -> np.ndarray:
    """Group names as fixed-width text, "" where missing: an array of objects has no digest."""
    values = np.asarray(values)
    if values.dtype.kind == "U":
        return values
    import pandas as pd

    return np.where(pd.isna(values), "", values.astype(str)).astype(str)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test data, with the card that says where they came from.

    Raises:
        Refused: parts whose classes, columns or categories differ: one code would mean two things.
    """

    name: str
    train: Split
    test: Split
    card: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        instead = "parts of one whole, such as rows of one Split: whole[rows] and whole[~rows]"
        if self.train.classes != self.test.classes:
            given = " and ".join(", ".join(map(repr, part.classes[:6])) for part in self)
            raise Refused(f"the data set {self.name}", f"train and test over the classes {given}", instead)
        columns = [{f.name: (f.kind, f.categories) for f in part.schema.features} for part in self]
        if list(columns[0]) != list(columns[1]):
            strange = sorted(set(columns[0]) ^ set(columns[1]))
            given = f"train and test with other columns: {', '.join(strange[:6]) or 'in another order'}"
            raise Refused(f"the data set {self.name}", given, instead)
        for column, kind in columns[0].items():
            if kind != columns[1][column]:
                given = f"the column {column} with other categories in train than in test"
                raise Refused(f"the data set {self.name}", given, instead)

    def __iter__(self) -> Iterator[Split]:
        return iter((self.train, self.test))

    def background(self, rows: int = 100) -> Split:
        """So many training rows from all over the training data: they show what inputs usually are."""
        return self.train[np.linspace(0, len(self.train) - 1, min(rows, len(self.train))).astype(int)]

    @property
    def schema(self) -> Schema:
        return self.test.schema

    @property
    def classes(self) -> tuple[str, ...]:
        return self.test.classes
