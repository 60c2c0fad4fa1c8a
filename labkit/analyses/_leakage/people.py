"""The same person on both sides of the split, and training rows that are later than test rows."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from labkit.analyses._leakage.found import Column, Found, counted
from labkit.core.refused import Refused, unknown
from labkit.records.leakage import IDS, TIME

ID = {"id", "ids", "uuid", "guid", "identifier"}
# An id that its name alone tells has so many training rows at most on average; more have what is a kind, such as a shop's.
ROWS = 10
WHEN = {"date", "datetime", "time", "timestamp"}


def _words(name: str) -> set[str]:
    """The words of a column's name: customerId, customer_id and "customer id" hold the same two."""
    return {w.casefold() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)}


def _column(asked: str, name: str, columns: Sequence[Column]) -> Column:
    for column in columns:
        if column.name == name:
            return column
    raise unknown(asked, str(name), (c.name for c in columns))


def shared(asked: str, columns: Sequence[Column], ids: Sequence[str]) -> list[Found]:
    """Test rows with an id that training rows have, by the columns named as ids, else by those whose name says so and
    whose values have few rows."""
    chosen = [_column(f"{asked} with ids", name, columns) for name in ids]
    guessed = not chosen
    if guessed:
        chosen = [c for c in columns if _words(c.name) & ID and _of_few(c)]
    if not chosen:
        why = (
            f"no column was named with ids=, and none of at most {ROWS} rows a value is called an id; frames= brings "
            "columns that no model sees"
        )
        return [Found(IDS, missing=why)]
    found = []
    for column in chosen:
        known = [~_unknown(v) for v in (column.train, column.test)]
        train, test = (v[k].astype(str) for v, k in zip((column.train, column.test), known))
        if not len(test):
            found.append(Found(IDS, column.name, missing="no test row has one"))
            continue
        note = "taken for an id by its name" if guessed else ""
        found.append(counted(IDS, column.name, np.isin(test, train).sum(), len(test), usual=0.0, p=0.0, note=note))
    return found


def _of_few(column: Column) -> bool:
    known = column.train[~_unknown(column.train)].astype(str)
    return len(known) <= ROWS * len(np.unique(known))


def _unknown(values: np.ndarray) -> np.ndarray:
    import pandas as pd

    return np.asarray(pd.isna(values) | (values.astype(str) == ""))


def _moments(asked: str, column: Column) -> tuple[np.ndarray, np.ndarray]:
    """Times as numbers that can be compared."""
    import pandas as pd

    whole = pd.Series(np.concatenate([column.train.astype(object), column.test.astype(object)]))
    numbers = pd.to_numeric(whole, errors="coerce")
    if numbers.notna().sum() < whole.notna().sum():
        moments = pd.to_datetime(whole, errors="coerce", utc=True, format="mixed")
        if moments.notna().sum() < whole.notna().sum():
            odd = whole[moments.isna() & whole.notna()].iloc[0]
            raise Refused(asked, f"the value {odd!s:.40} in {column.name}", "a column of dates or numbers")
        numbers = pd.Series(moments.astype("int64").where(moments.notna()))
    values = numbers.to_numpy(float)
    return values[: len(column.train)], values[len(column.train) :]


def later(asked: str, columns: Sequence[Column], time: str | None) -> Found:
    """Training rows that are later than the earliest test row: a model that will be used forward in time has then seen
    its future."""
    if time is None:
        called = [c.name for c in columns if _words(c.name) & WHEN]
        hint = f" ({', '.join(called[:3])} may be one)" if called else ""
        return Found(TIME, missing=f"no column was named with time={hint}")
    column = _column(f"{asked} in time", time, columns)
    train, test = (v[~np.isnan(v)] for v in _moments(f"{asked} in time", column))
    if not len(train) or not len(test):
        return Found(TIME, column.name, missing="no row has a time in one of the parts")
    hits = int((train > test.min()).sum())
    behind = float((test[:, None] <= np.quantile(train, [1.0])).mean())
    note = f"{behind:.0%} of the test rows are no later than the last training row"
    return counted(TIME, column.name, hits, len(train), usual=0.0, p=0.0, note=note)
