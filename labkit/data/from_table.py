"""The user's own table as a Dataset."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from labkit.core.refused import Refused, unknown
from labkit.data import tabular
from labkit.data.holdout import holdout
from labkit.data.reading import card, codes, read_table
from labkit.data.schema import Feature, Schema
from labkit.data.split import Dataset

_MOST_CATEGORIES = 50


def from_table(
    path: Path,
    *,
    target: str | None,
    groups: Sequence[str],
    schema: Schema | None,
    test: float | str,
    seed: int,
    classes: Sequence[str] | None,
    categorical: Sequence[str],
    immutable: Sequence[str],
    drop: Sequence[str],
    name: str,
) -> Dataset:
    """See ``labkit.data.open``. Rows that are equal in every column are on one side of the split."""
    asked = f"the table {path.name}"
    frame, data = read_table(path)
    if schema is not None:
        if schema.modality != "tabular":
            raise Refused(asked, f"a schema of {schema.modality} data", "the schema of a table")
        target, groups = target or schema.target, groups or schema.groups
    if target is None:
        raise Refused(asked, "no target", f"target= one of the columns: {', '.join(map(str, frame.columns))}")
    part = [test] if isinstance(test, str) else []
    listed = [f.name for f in schema.features] if schema else []
    for argument, columns in {
        "target": [target],
        "groups": groups,
        "test": part,
        "categorical": categorical,
        "immutable": immutable,
        "drop": drop,
        "schema": listed,
    }.items():
        _known(asked, argument, columns, frame)
    y, names = codes(frame[target], classes, f"{asked}, target {target}")
    used = [c for c in listed or frame.columns if c not in {target, *part, *drop}]
    if not used or target in listed:
        raise Refused(asked, "no feature" if not used else f"the target {target} as a feature", "other columns")
    stated = {f.name: f for f in schema.features} if schema else {}
    kinds = dict.fromkeys(categorical, "categorical") | {f.name: f.kind for f in stated.values()}
    inputs = pd.DataFrame({c: _values(frame[c], kinds.get(c)) for c in used})
    held_out = _parts(frame[test], asked) if isinstance(test, str) else holdout(tabular.keys(frame), y, test, seed)
    seen = inputs if held_out.all() else inputs[~held_out]
    features = [_feature(seen[c], stated.get(c), c in immutable) for c in used]
    return tabular.dataset(
        name,
        inputs,
        y,
        held_out,
        target=target,
        classes=names,
        features=features,
        groups={g: tabular.group_names(frame[g]) for g in groups},
        card=card(path, data, len(frame)),
    )


def _known(asked: str, argument: str, columns: Iterable[str], frame: pd.DataFrame) -> None:
    for column in columns:
        if column not in frame.columns:
            raise unknown(f"{asked} with {argument}", column, map(str, frame.columns))


def _parts(column: pd.Series, asked: str) -> np.ndarray:
    names = set(tabular.labels(column).tolist())
    if names != {"train", "test"}:
        raise Refused(f"{asked}, parts by {column.name}", f"the values {sorted(names)[:5]}", '"train" and "test"')
    return (column == "test").to_numpy()


def _values(column: pd.Series, kind: str | None) -> np.ndarray:
    """A column as numbers or as category names; refused when its kind is not stated and cannot be inferred."""
    if kind == "categorical":
        return tabular.labels(column)
    if kind == "numeric" or tabular.is_quantity(column):
        return tabular.numbers(column)
    _doubtful(column)
    return tabular.labels(column)


def _feature(column: pd.Series, stated: Feature | None, immutable: bool) -> Feature:
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
