"""The user's own files as a Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labkit.core.refused import Refused
from labkit.data.from_arrays import from_arrays
from labkit.data.from_images import from_images
from labkit.data.from_table import from_table
from labkit.data.reading import TABLES, source
from labkit.data.schema import Schema
from labkit.data.split import Dataset


def open(
    path: str | Path,
    *,
    target: str | None = None,
    groups: Sequence[str] = (),
    schema: Schema | str | Path | None = None,
    test: float | str | Path = 0.2,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    categorical: Sequence[str] = (),
    immutable: Sequence[str] = (),
    drop: Sequence[str] = (),
    name: str | None = None,
) -> Dataset:
    """A CSV or Parquet table, an NPZ file of arrays, or a folder of images as a Dataset.

    Nothing is filled in or left out in silence. Look at ``data.schema.table()``; write it with ``data.schema.save``,
    edit it, and give it back as ``schema``.

    Args:
        path: ``.csv``, ``.tsv`` (also ``.gz``), ``.parquet``, ``.npz`` with x and y or x_train, y_train, x_test and
            y_test, or a folder with one folder of images a class, or train/ and test/ with such folders in each.
        target: of a table, the column to predict.
        groups: the sensitive features: of a table columns; of an NPZ file arrays of these names, one name an example.
        schema: a Schema or its TOML file, to say what the columns are instead of inferring it. Columns that it does
            not list are left out.
        test: the share of each class that is held out for testing (1: all of it, and the training part is empty), or
            the name of a table's column that says "train" or "test", or the path (a ``pathlib.Path``) of a second table that
            holds the test rows. Ignored when the file has both parts.
        seed: which rows are held out.
        classes: the class names in the order of the model's outputs; otherwise sorted.
        categorical: number columns that are codes and not quantities.
        immutable: columns that a person cannot change.
        drop: columns that are no features. A dropped column may still be a group.
        name: how reports call the data; otherwise the file's name.

    Raises:
        Refused: for anything that would give a wrong number: unreadable or too large files, no rows, an unknown or
            doubled column, missing labels or numbers, values that are not finite, one class, images of unequal size.
    """
    if not isinstance(path, str | Path):
        raise Refused("data", f"a {type(path).__name__}", "the path of a file or folder")
    path = Path(path)
    asked = f"the data {path.name}"
    lists = {"groups": groups, "classes": classes, "categorical": categorical, "immutable": immutable, "drop": drop}
    for argument, value in lists.items():
        if isinstance(value, str):
            raise Refused(asked, f"{argument}={value!r}", f"a list of names: {argument}=[{value!r}]")
    if isinstance(test, bool) or (isinstance(test, int | float) and not 0 < test <= 1):
        raise Refused(asked, f"test={test!r}", "a share above 0 and up to 1, or the name of a column")
    if not isinstance(seed, int) or abs(seed) >= 2**63:
        raise Refused(asked, f"seed={seed!r}", "a whole number below 2 to the 63rd")
    kind = source(path)
    if schema is not None and not isinstance(schema, Schema):
        schema = Schema.load(schema)
    common: dict[str, Any] = {
        "schema": schema,
        "seed": seed,
        "classes": classes,
        "name": name or path.name.split(".")[0],
    }
    if kind in TABLES:
        columns: dict[str, Any] = {"categorical": categorical, "immutable": immutable, "drop": drop}
        return from_table(path, target=target, groups=groups, test=test, **columns, **common)
    if isinstance(test, str | Path):
        raise Refused(asked, f"test={str(test)!r} for data that are no table", "a share, or files that have both parts")
    for argument in ("categorical", "immutable", "drop"):
        if lists[argument]:
            raise Refused(asked, f"{argument}= for data that are no table", f"no {argument}=, or a table")
    if target is not None:
        raise Refused(
            asked, f"target={target!r} for data that are no table", "no target=: y or the folders' names are it"
        )
    if kind == "npz":
        return from_arrays(path, groups=groups, test=test, **common)
    if groups:
        raise Refused(asked, f"groups={groups!r} for a folder of images", "an NPZ file with an array for each group")
    return from_images(path, test=test, **common)
