"""What the columns of the user's own table are: which are there, what each holds, and when that cannot be told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from labkit.core.refused import Refused, unknown
from labkit.data import tabular
from labkit.data.schema import Feature

_MOST_CATEGORIES = 50


def known(asked: str, argument: str, columns: Iterable[str], frame: pd.DataFrame) -> None:
    for column in columns:
        if column not in frame.columns:
            raise unknown(f"{asked} with {argument}", column, map(str, frame.columns))


def values(column: pd.Series, kind: str | None) -> np.ndarray:
    """A column as numbers or as category names; refused when its kind is not stated and cannot be inferred."""
    if kind == "categorical":
        return tabular.labels(column)
    if kind == "numeric" or tabular.is_quantity(column):
        return tabular.numbers(column)
    _doubtful(column)
    return tabular.labels(column)


def feature(column: pd.Series, stated: Feature | None, immutable: bool) -> Feature:
    """The column as inferred, with everything that the schema states put in its place."""
    found = tabular.infer(column, immutable=immutable)
    if stated is None:
        return found
    return replace(
        stated,
        low=found.low if stated.low is None else stated.low,
        high=found.high if stated.high is None else stated.high,
        categories=stated.categories or found.categories,
        immutable=stated.immutable or immutable,
    )


def _doubtful(column: pd.Series) -> None:
    """Refuse a text column that is mostly numbers, or mostly different: what it means cannot be inferred."""
    asked = f"the kind of the column {column.name}"
    text = pd.Series(tabular.labels(column))
    numeric = pd.to_numeric(text.where(column.notna().to_numpy()), errors="coerce").notna()
    if 0.5 < numeric.sum() / max(column.notna().sum(), 1) < 1:
        strange = text[~numeric.to_numpy() & column.notna().to_numpy()].iloc[0]
        raise Refused(
            asked,
            f"numbers, but for {int(column.notna().sum() - numeric.sum())} values such as {strange!r}",
            f"numbers throughout, or categorical=[{str(column.name)!r}]",
        )
    if text.nunique() > max(_MOST_CATEGORIES, len(text) / 2):
        raise Refused(
            asked,
            f"{text.nunique()} different texts in {len(text)} rows: a name, an identifier, a date or free text",
            f"drop=[{str(column.name)!r}], or categorical=[{str(column.name)!r}] if it is a category all the same",
        )
