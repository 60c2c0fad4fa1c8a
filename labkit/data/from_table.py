"""The user's own table as a Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from labkit.core.refused import Refused
from labkit.data import tabular
from labkit.data.holdout import holdout
from labkit.data.kinds import feature, known, values
from labkit.data.reading import card, codes, read_table
from labkit.data.schema import Schema
from labkit.data.split import Dataset


def from_table(
    path: Path,
    *,
    target: str | None,
    groups: Sequence[str],
    schema: Schema | None,
    test: float | str | Path,
    seed: int,
    classes: Sequence[str] | None,
    categorical: Sequence[str],
    immutable: Sequence[str],
    drop: Sequence[str],
    name: str,
) -> Dataset:
    """See ``labkit.data.open``. Rows that are equal in every column are on one side of the split, unless the user's own
    files put them on both."""
    asked = f"the table {path.name}"
    frame, data = read_table(path)
    first = len(frame)
    if isinstance(test, Path):
        frame, data = _with(frame, data, test, asked)
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
        known(asked, argument, columns, frame)
    y, names = codes(frame[target], classes, f"{asked}, target {target}")
    used = [c for c in listed or frame.columns if c not in {target, *part, *drop}]
    if not used or target in listed:
        raise Refused(asked, "no feature" if not used else f"the target {target} as a feature", "other columns")
    stated = {f.name: f for f in schema.features} if schema else {}
    kinds = dict.fromkeys(categorical, "categorical") | {f.name: f.kind for f in stated.values()}
    inputs = pd.DataFrame({c: values(frame[c], kinds.get(c)) for c in used})
    if isinstance(test, Path):
        held_out = np.arange(len(frame)) >= first
    elif isinstance(test, str):
        held_out = _parts(frame[test], asked)
    else:
        held_out = holdout(tabular.keys(frame), y, test, seed)
    seen = inputs if held_out.all() else inputs[~held_out]
    features = [feature(seen[c], stated.get(c), c in immutable) for c in used]
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


def _with(frame: pd.DataFrame, data: bytes, test: Path, asked: str) -> tuple[pd.DataFrame, bytes]:
    """The rows of both files, those of the second last, and the bytes of both."""
    if not Path(test).is_file():
        raise Refused(f"{asked} and test rows of {test}", "no such file", "the path of a table with the same columns")
    other, more = read_table(test)
    if more == data:
        raise Refused(f"{asked} and test rows of {test.name}", "the same file twice", "rows that were not trained on")
    if set(other.columns) != set(frame.columns):
        given = f"columns of one file alone: {', '.join(sorted(map(str, set(other.columns) ^ set(frame.columns)))[:6])}"
        raise Refused(f"{asked} and test rows of {test.name}", given, "two files with the same columns")
    return pd.concat([frame, other[list(frame.columns)]], ignore_index=True), data + more


def _parts(column: pd.Series, asked: str) -> np.ndarray:
    names = set(tabular.labels(column).tolist())
    if names != {"train", "test"}:
        raise Refused(f"{asked}, parts by {column.name}", f"the values {sorted(names)[:5]}", '"train" and "test"')
    return (column == "test").to_numpy()
