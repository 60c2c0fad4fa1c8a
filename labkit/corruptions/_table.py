"""What several corruptions of tables share: which columns they may touch, and values that a column can hold."""

from __future__ import annotations

import numpy as np

from labkit.core.refused import Refused
from labkit.data.schema import Kind, Schema
from labkit.data.tabular import OTHER, UNKNOWN


def columns(asked: str, schema: Schema, keep_groups: bool, kind: Kind | None = None, least: int = 1) -> np.ndarray:
    """The numbers of the columns, of one kind or of both, that a corruption may touch; refused when they are too few."""
    kept = schema.groups if keep_groups else ()
    found = [i for i, f in enumerate(schema.features) if kind in (None, f.kind) and f.name not in kept]
    if len(found) < least:
        what = f"{kind or 'any'} columns that hold no groups" if keep_groups else f"{kind or 'any'} columns"
        raise Refused(asked, f"{len(found)} {what}", f"a table with at least {least}, or another corruption")
    return np.array(found)


def code(categories: tuple[str, ...], *names: str) -> int:
    """The code of the first of these names that a column has; -1 without one."""
    return next((categories.index(name) for name in names if name in categories), -1)


def usual(schema: Schema, background: np.ndarray) -> np.ndarray:
    """(columns,) what stands for a missing value: "(unknown)" where a column has it, else its most usual value; of
    numbers the (lower) median."""
    found = np.empty(len(schema.features), np.float32)
    for i, feature in enumerate(schema.features):
        if feature.kind == "numeric":
            found[i] = np.quantile(background[:, i], 0.5, method="lower")
        else:
            unknown = code(feature.categories, UNKNOWN)
            found[i] = np.bincount(background[:, i].astype(np.int64)).argmax() if unknown < 0 else unknown
    return found


def unseen(schema: Schema) -> np.ndarray:
    """(columns,) the code of a category that training did not have; -1 for numbers and for columns without one."""
    codes = [code(f.categories, OTHER, UNKNOWN) if f.kind == "categorical" else -1 for f in schema.features]
    return np.array(codes, np.float32)


def held(x: np.ndarray, new: np.ndarray, schema: Schema, background: np.ndarray) -> np.ndarray:
    """New values as the columns can hold them: numbers within the range seen in training (or as far out as the row was),
    whole where the background holds nothing else; codes beyond the categories as unseen ones."""
    found = new.copy()
    for i, feature in enumerate(schema.features):
        if feature.kind == "numeric":
            if np.array_equal(background[:, i], np.round(background[:, i])):
                found[:, i] = np.round(found[:, i])
            low = -np.inf if feature.low is None else np.minimum(feature.low, x[:, i])
            high = np.inf if feature.high is None else np.maximum(feature.high, x[:, i])
            found[:, i] = np.clip(found[:, i], low, high)
        else:
            known = found[:, i] < len(feature.categories)
            found[:, i] = np.where(known, found[:, i], max(0, code(feature.categories, OTHER, UNKNOWN)))
    return np.where(new == x, x, found).astype(x.dtype)
