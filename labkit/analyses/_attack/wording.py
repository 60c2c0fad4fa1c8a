"""What an attack changed in a text or in a row of a table, in words."""

from __future__ import annotations

import numpy as np

from labkit.data.schema import Feature, Schema


def changes(schema: Schema, before: np.ndarray, after: np.ndarray) -> tuple[str, ...]:
    """(n,) such as "age 39 to 42; job sales to clerk"; nothing at all for inputs that are neither words nor columns."""
    if schema.modality == "text" and schema.vocabulary:
        said = [_word(schema, before[i], after[i]) for i in range(len(before))]
    elif schema.modality == "tabular" and len(schema.features) == before[0].size:
        said = [_columns(schema, before[i], after[i]) for i in range(len(before))]
    else:
        return ()
    return tuple(said)


def _word(schema: Schema, before: np.ndarray, after: np.ndarray) -> str:
    word = schema.vocabulary
    return "; ".join(f"{word[before[i]]} to {word[after[i]]}" for i in np.flatnonzero(before != after))


def _columns(schema: Schema, before: np.ndarray, after: np.ndarray) -> str:
    parts = [
        f"{schema.features[i].name} {_value(schema.features[i], before[i])} to {_value(schema.features[i], after[i])}"
        for i in np.flatnonzero(before != after)
    ]
    return "; ".join(parts)


def _value(feature: Feature, value: float) -> str:
    known = feature.kind == "categorical" and value in range(len(feature.categories))
    return feature.categories[int(value)] if known else f"{value:g}"
