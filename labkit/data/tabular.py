"""Tables as numbers: columns become features, category names become codes, missing categories get a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from labkit.core.refused import Refused
from labkit.data.schema import Feature, Schema
from labkit.data.split import Dataset, Split
from labkit.records._frame import merge_spellings

OTHER, UNKNOWN = "(other)", "(unknown)"
_MOST_GROUPS = 20


def labels(column: pd.Series, missing: str = UNKNOWN) -> np.ndarray:
    """A column as text, ``missing`` where it has no value."""
    absent = column.isna().to_numpy()
    # Whole numbers that pandas holds as floats because some are missing are written as whole numbers.
    if pd.api.types.is_float_dtype(column) and column.dropna().map(float.is_integer).all():
        column = column.astype("Int64")
    return np.where(absent, missing, column.astype(object).astype(str).to_numpy(dtype=object)).astype(str)


def infer(column: pd.Series, *, immutable: bool = False, unit: str = "") -> Feature:
    """What a column of training data is: numeric with its range, or categorical with "(other)" as code 0."""
    name = str(column.name)
    if is_quantity(column):
        values = numbers(column)
        return Feature(name, "numeric", float(values.min()), float(values.max()), immutable=immutable, unit=unit)
    names = sorted(set(labels(column).tolist()) - {OTHER})
    return Feature(name, "categorical", categories=(OTHER, *names), immutable=immutable, unit=unit)


def is_quantity(column: pd.Series) -> bool:
    """Whether a column holds numbers; truth values are categories."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def numbers(column: pd.Series) -> np.ndarray:
    """A numeric column as float32; refused when values are missing, not finite or not numbers."""
    asked = f"numbers from the column {column.name}"
    try:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise Refused(asked, "values that are not numbers", 'kind = "categorical" in the schema, or numbers') from None
    with np.errstate(over="ignore"):
        bad = ~np.isfinite(values.astype(np.float32))
    if bad.any():
        lines = ", ".join(str(i) for i in np.flatnonzero(bad)[:5])
        raise Refused(
            asked,
            f"{bad.sum()} values missing or not finite (rows {lines}{', …' if bad.sum() > 5 else ''}, counted from 0)",
            "fill them, drop those rows, or declare the column categorical, where a missing value is (unknown)",
        )
    return values.astype(np.float32)


def encode(frame: pd.DataFrame, features: Sequence[Feature]) -> np.ndarray:
    """(n, features) float32: numbers in their own unit, categories as codes, 0 for one that the feature lacks."""
    return np.column_stack([_codes(frame[f.name], f) for f in features]).astype(np.float32)


def _codes(column: pd.Series, feature: Feature) -> np.ndarray:
    if feature.kind == "numeric":
        return numbers(column)
    code = {name: i for i, name in enumerate(feature.categories)}
    return np.array([code.get(name, 0) for name in labels(column)], np.float32)


def group_names(column: pd.Series) -> np.ndarray:
    """Group names, "" where missing, spellings merged; refused for a quantity, whose values are no groups."""
    if is_quantity(column) and column.nunique() > _MOST_GROUPS:
        given = f"a quantity with {column.nunique()} values"
        raise Refused(f"groups by {column.name}", given, f"bands of it, at most {_MOST_GROUPS}")
    return merge_spellings(labels(column, missing=""))


def keys(frame: pd.DataFrame) -> list[bytes]:
    """For each row the bytes that identify its values, for ``holdout``: only rows equal in every column are equal."""
    return ["\x1f".join(map(str, row)).encode() for row in frame.itertuples(index=False, name=None)]


def bands(values: pd.Series, edges: Sequence[int]) -> np.ndarray:
    """Numbers as named ranges: edges (25, 40) give "under 25", "25 to 39" and "40 and over"."""
    names = [f"under {edges[0]}", *(f"{a} to {b - 1}" for a, b in pairwise(edges)), f"{edges[-1]} and over"]
    return np.array(names)[np.searchsorted(edges, values.to_numpy(), side="right")]


def dataset(
    name: str,
    frame: pd.DataFrame,
    y: np.ndarray,
    held_out: np.ndarray,
    *,
    target: str,
    classes: Sequence[str],
    features: Sequence[Feature],
    groups: Mapping[str, np.ndarray],
    card: Mapping[str, Any],
) -> Dataset:
    """A table as a Dataset, cut in two by the mask ``held_out``."""
    schema = Schema("tabular", target, (len(features),), features=tuple(features), groups=tuple(groups))
    whole = Split(encode(frame, features), y, schema, tuple(classes), name, dict(groups))
    return Dataset(name, whole[~held_out].named(f"{name}/train"), whole[held_out].named(f"{name}/test"), card)
