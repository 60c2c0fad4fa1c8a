"""What a data set's columns are: names, kinds, ranges, categories, and which of them cannot change."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from labkit.core.refused import Refused, unknown
from labkit.core.store import write_atomic

if TYPE_CHECKING:
    import pandas as pd

Modality = Literal["audio", "image", "image+text", "series", "tabular", "text"]
Kind = Literal["numeric", "categorical"]
_SHOWN = 8


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
    kind: Kind
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()
    immutable: bool = False
    unit: str = ""

    def __post_init__(self) -> None:
        asked = f"the feature {self.name}"
        if self.kind not in get_args(Kind):
            raise unknown(f"{asked} of a kind", str(self.kind), get_args(Kind))
        object.__setattr__(self, "categories", tuple(str(c) for c in self.categories))
        if len(set(self.categories)) != len(self.categories):
            raise Refused(asked, "a category that is named twice", "one name a category")
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise Refused(asked, f"a range from {self.low} to {self.high}", "low <= high")


@dataclass(frozen=True)
class Schema:
    """What the inputs of one data set look like.

    Attributes:
        modality: "image" (n, channels, height, width), "tabular" (n, features), "text" (n, tokens) of word numbers,
            "audio" (n, samples), "series" (n, channels, steps), or "image+text" (n, values): both parts in one row,
            the pixel values from 0 to 1 and then the word numbers.
        target: what is predicted, in words; for the user's own table the name of its column.
        shape: the shape of one input.
        bounds: the least and greatest value an input may hold, for images.
        picture: (channels, height, width) of the picture that begins a row of "image+text".
        features: the columns, for tables.
        vocabulary: the words in code order, for text; number 0 is padding and 1 an unknown word.
        groups: the sensitive features.
    """

    modality: Modality
    target: str
    shape: tuple[int, ...]
    bounds: tuple[float, float] | None = None
    picture: tuple[int, ...] = ()
    features: tuple[Feature, ...] = ()
    vocabulary: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.modality not in get_args(Modality):
            raise unknown("a schema of the modality", str(self.modality), get_args(Modality))
        if bool(self.picture) != (self.modality == "image+text") or self.pixels > math.prod(self.shape):
            given = f"picture={self.picture} for {self.modality} inputs of shape {self.shape}"
            raise Refused("a schema", given, 'the picture\'s (channels, height, width) for "image+text", else none')
        names = [f.name for f in self.features]
        if len(set(names)) != len(names):
            raise Refused("a schema", "a feature that is named twice", "one entry a column")
        if self.bounds is not None and not (len(self.bounds) == 2 and self.bounds[0] < self.bounds[1]):
            raise Refused("a schema", f"bounds {self.bounds}", "bounds (low, high) with low < high")

    def feature(self, name: str) -> Feature:
        """The column of that name; Refused when there is none."""
        for feature in self.features:
            if feature.name == name:
                return feature
        raise unknown("a feature", name, (f.name for f in self.features))

    @property
    def pixels(self) -> int:
        """How many values of a row are its picture's: 0 without one."""
        return math.prod(self.picture) if self.picture else 0

    @property
    def sizes(self) -> tuple[int, ...]:
        """For each column of a table the number of its categories; 0 for a number."""
        return tuple(len(f.categories) if f.kind == "categorical" else 0 for f in self.features)

    def show(self, row: Sequence[Any]) -> list[str]:
        """One input as text a person reads: category names, numbers with units, or words."""
        if self.modality == "tabular":
            return [
                f.categories[int(v)] if f.kind == "categorical" else f"{v:g}{' ' + f.unit if f.unit else ''}"
                for f, v in zip(self.features, row, strict=True)
            ]
        if self.modality in ("text", "image+text"):
            return [self.vocabulary[int(v)] for v in row[self.pixels :] if int(v) != 0]
        raise unknown("an input as text", self.modality, ("image+text", "tabular", "text"))

    def table(self) -> pd.DataFrame:
        """One row a feature, to be looked at: kind, range, unit, categories, whether it can change or is a group."""
        import pandas as pd

        return pd.DataFrame(
            {
                "feature": f.name,
                "kind": f.kind,
                "low": f.low,
                "high": f.high,
                "unit": f.unit,
                "categories": _listed(f.categories),
                "immutable": f.immutable,
                "group": f.name in self.groups,
            }
            for f in self.features or self._alike
        )

    @property
    def _alike(self) -> tuple[Feature, ...]:
        """What the entries of an input are, where they are alike."""
        word = Feature("word", "categorical", categories=self.vocabulary)
        if self.modality == "text":
            return (word,)
        low, high = (0.0, 1.0) if self.picture else self.bounds or (None, None)
        name = {"audio": "sample", "series": "value"}.get(self.modality, "pixel")
        return Feature(name, "numeric", low, high), *([word] if self.picture else [])

    def save(self, path: str | Path) -> Path:
        """Write it as TOML, to be read, edited and given back to ``labkit.data.open``."""
        import tomli_w

        facts = _stated(self)
        if self.features:
            facts["features"] = [_stated(f) for f in self.features]
        return write_atomic(path, tomli_w.dumps(facts))

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Read what ``save`` wrote, or what a person wrote in its form.

        ``shape`` may be left out of a table's schema, and so may a feature's range or categories: they are then
        taken from the data.

        Raises:
            Refused: no such file, not TOML, an unknown or missing key, a value of another type, a feature named twice.
        """
        asked = f"the schema {Path(path).name}"
        try:
            facts = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
        except (OSError, ValueError) as error:
            raise Refused(asked, f"{error}", "a TOML file as Schema.save writes it") from None
        columns = facts.pop("features", [])
        if not isinstance(columns, list) or not all(isinstance(c, dict) for c in columns):
            raise Refused(asked, "features that are no tables", "[[features]] with name and kind for each column")
        features = tuple(Feature(**_checked(Feature, c, f"a feature of {asked}")) for c in columns)
        return cls(features=features, **_checked(cls, {"shape": [len(features)], **facts}, asked))


def _listed(names: Sequence[str]) -> str:
    more = f", … ({len(names)} in all)" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _stated(part: Schema | Feature) -> dict[str, Any]:
    """The fields that say something, in the types that TOML has."""
    said = {f.name: getattr(part, f.name) for f in fields(part) if getattr(part, f.name) != f.default}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in said.items()}


_LISTS: dict[str, type] = {
    "shape": int,
    "bounds": float,
    "picture": int,
    "categories": str,
    "vocabulary": str,
    "groups": str,
}
_VALUES: dict[str, type] = {"low": float, "high": float, "immutable": bool}


def _checked(cls: type[Any], facts: Mapping[str, Any], asked: str) -> dict[str, Any]:
    """The arguments for a Feature or Schema, refused when a key is unknown, missing or of another type."""
    known = {f.name: f.default is MISSING for f in fields(cls)}
    for key in facts:
        if key not in known:
            raise unknown(f"{asked} with the key", key, known)
    missing = [key for key, needed in known.items() if needed and key not in facts]
    if missing:
        raise Refused(asked, f"no {', '.join(missing)}", f"a line for each: {', '.join(f'{m} = …' for m in missing)}")
    return {key: _typed(value, key, asked) for key, value in facts.items()}


def _typed(value: Any, key: str, asked: str) -> Any:
    """A TOML value as the type that its key has; a whole number may stand where a fraction may."""
    if key in _LISTS and isinstance(value, list):
        return tuple(_one(v, _LISTS[key], key, asked) for v in value)
    return _one(value, tuple if key in _LISTS else _VALUES.get(key, str), key, asked)


def _one(value: Any, kind: type, key: str, asked: str) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        wanted = "a list" if kind is tuple else f"a value of type {kind.__name__}"
        raise Refused(f"{asked}, {key}", repr(value), wanted)
    return value
