"""What a data set's columns are: names, kinds, ranges, categories, and which of them cannot change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from labkit.core.refused import unknown

Modality = Literal["image", "tabular", "text"]


@dataclass(frozen=True)
class Feature:
    """One column.

    Attributes:
        kind: "numeric" (a value in the data's own unit) or "categorical" (a whole-number code into ``categories``).
        low, high: the range seen in the training data, for numeric features.
        categories: the category names in code order. Code 0 of a feature that may hold unseen values is "(other)".
        immutable: whether a person can change it; counterfactuals and attacks leave immutable features alone.
    """

    name: str
    kind: Literal["numeric", "categorical"]
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()
    immutable: bool = False
    unit: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", tuple(self.categories))


@dataclass(frozen=True)
class Schema:
    """What the inputs of one data set look like.

    Attributes:
        modality: "image" (n, channels, height, width), "tabular" (n, features) or "text" (n, tokens) of word numbers.
        target: what is predicted, in words.
        shape: the shape of one input.
        bounds: the least and greatest value an input may hold, for images.
        features: the columns, for tables.
        vocabulary: the words in code order, for text; number 0 is padding and 1 an unknown word.
        groups: the sensitive features.
    """

    modality: Modality
    target: str
    shape: tuple[int, ...]
    bounds: tuple[float, float] | None = None
    features: tuple[Feature, ...] = ()
    vocabulary: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def feature(self, name: str) -> Feature:
        """The column of that name; Refused when there is none."""
        for feature in self.features:
            if feature.name == name:
                return feature
        raise unknown("a feature", name, (f.name for f in self.features))

    def show(self, row: Sequence[Any]) -> list[str]:
        """One input as text a person reads: category names, numbers with units, or words."""
        if self.modality == "tabular":
            return [
                f.categories[int(v)] if f.kind == "categorical" else f"{v:g}{' ' + f.unit if f.unit else ''}"
                for f, v in zip(self.features, row, strict=True)
            ]
        if self.modality == "text":
            return [self.vocabulary[int(v)] for v in row if int(v) != 0]
        raise unknown("an input as text", self.modality, ("tabular", "text"))
