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
    held_out = _parts(frame[test], asked) if isinstance(test, str) else holdout(tabular.keys(frame), y, test, seed)
    used = [c for c in listed or frame.columns if c not in {target, *part, *drop}]
    if not used or target in listed:
        raise Refused(asked, "no feature" if not used else f"the target {target} as a feature", "other columns")
    stated = {f.name: f for f in schema.features} if schema else {}
    as_text = [c for c in used if c in categorical or (c in stated and stated[c].kind == "categorical")]
    inputs = frame.assign(**{c: tabular.labels(frame[c]) for c in as_text})
    seen = inputs if held_out.all() else inputs[~held_out]
    for column in used:
        if column not in stated and column not in as_text:
            _doubtful(frame[column])
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


def _feature(column: pd.Series, stated: Feature | None, immutable: bool) -> Feature:
    """The column as inferred, with everything that the schema states put in its place."""
    found = tabular.infer(column, immutable=immutable, numeric=bool(stated and stated.kind == "numeric"))
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
    if pd.api.types.is_numeric_dtype(column):
        return
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
