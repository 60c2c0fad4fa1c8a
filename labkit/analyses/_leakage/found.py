"""One finding of a search for leaks, and the columns that it looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.core.intervals import clopper_pearson
from labkit.core.refused import Refused
from labkit.data.split import Dataset

if TYPE_CHECKING:
    import pandas as pd

NAN = float("nan")


@dataclass(frozen=True)
class Found:
    """One row of the table of leaks; ``records.leakage`` says what each entry means."""

    kind: str
    subject: str = ""
    hits: int = 0
    of: int = 0
    value: float = NAN
    low: float = NAN
    high: float = NAN
    usual: float = NAN
    p: float = NAN
    note: str = ""
    missing: str = ""


def counted(kind: str, subject: str, hits: int, of: int, **more: Any) -> Found:
    """A share of rows with its exact interval."""
    low, high = clopper_pearson(hits, of)
    return Found(kind, subject, int(hits), int(of), hits / of, float(low), float(high), **more)


@dataclass(frozen=True, eq=False)
class Column:
    """One column of both parts: numbers, or text.

    Attributes:
        seen: whether a model takes it in.
    """

    name: str
    train: np.ndarray
    test: np.ndarray
    seen: bool


def columns(asked: str, data: Dataset, frames: Sequence[pd.DataFrame] | None) -> list[Column]:
    """Every column that has a name: a table's features, the groups, and those of the tables given beside.

    Raises:
        Refused: tables that are not two with a row an example, or whose columns differ.
    """
    train, test = data
    found = {}
    if data.schema.modality == "tabular":
        for i, f in enumerate(data.schema.features):
            found[f.name] = Column(f.name, train.x[:, i], test.x[:, i], True)
    for name in train.groups:
        if name not in found and name in test.groups:
            found[name] = Column(name, train.groups[name], test.groups[name], False)
    if frames is None:
        return list(found.values())
    sizes = [len(f) for f in frames]
    if sizes != [len(train), len(test)]:
        given = f"tables of {' and '.join(map(str, sizes))} rows for {len(train)} and {len(test)} examples"
        raise Refused(asked, given, "frames=(train, test), a row an example in their order")
    for name in frames[0].columns:
        if name in frames[1].columns and str(name) not in found and str(name) != data.schema.target:
            found[str(name)] = Column(str(name), frames[0][name].to_numpy(), frames[1][name].to_numpy(), False)
    return list(found.values())
