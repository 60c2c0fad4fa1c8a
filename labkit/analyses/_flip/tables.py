"""A column's value exchanged, and what goes with it; and other columns' values, for comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from labkit.analyses._columns import place
from labkit.analyses._flip.design import Control, Design, Exchange
from labkit.core.refused import Refused, unknown
from labkit.data.split import Split

Along = Mapping[str, Mapping[str, str]]
NO_GROUP = ("(other)", "(unknown)")
HARDLY, EXPECTED = (
    0.02,
    10.0,
)  # a pair of values hardly occurs below this part of what chance alone would give, if that is 10
DRAWS = 30  # for a value unlike one's own
DIRECTIONS = 90


def of_table(asked: str, data: Split, by: str, along: Along | None, generator: np.random.Generator) -> Design:
    """Each row with every other value of the column, or of the columns named in ``along`` alone.

    Raises:
        Refused: a column of numbers, unknown columns or values, a column with one value or with very many.
    """
    moved = {place(f"{asked}, along", data, c): _codes(asked, data, c, v) for c, v in (along or {}).items()}
    names = [f.name for f in data.schema.features]
    if by not in names:
        column, exchanges, left_out = -1, _alone(data, by, moved), 0
    else:
        column = names.index(by)
        exchanges, left_out = _each(asked, data, column, moved)
    held = {column, *moved}
    controls = [Control(names[c], *_otherwise(data.x, c, generator)) for c in range(len(names)) if c not in held]
    kept = [c for c in controls if len(c.rows)]
    return Design(data.x, np.arange(len(data)), exchanges, kept, left_out=left_out)


def _codes(asked: str, data: Split, column: str, values: Mapping[str, str]) -> dict[int, int]:
    known = data.schema.feature(column).categories
    for name in (*values, *values.values()):
        if name not in known:
            raise unknown(f"{asked}, along {column}, of a value", name, known)
    return {known.index(a): known.index(b) for a, b in values.items()}


def _moved(x: np.ndarray, moved: Mapping[int, Mapping[int, int]]) -> np.ndarray:
    """The rows with the values that go along exchanged."""
    found = x.copy()
    for column, values in moved.items():
        for old, new in values.items():
            found[x[:, column] == old, column] = new
    return found


def _alone(data: Split, by: str, moved: Mapping[int, Mapping[int, int]]) -> list[Exchange]:
    """Where the attribute is no column: the values exchanged that stand for it, by the people's group."""
    after = _moved(data.x, moved)
    differs = (after != data.x).any(1)
    group = data.groups.get(by, np.full(len(data), "everybody"))
    found = []
    for source in np.unique(group[differs]):
        rows = np.flatnonzero(differs & (group == source))
        words = [_words(data, data.x[i], after[i], moved) for i in rows]
        found.append(
            Exchange(
                str(source), "exchanged", rows, after[rows], words, np.zeros(len(rows), bool), np.zeros(len(rows), int)
            )
        )
    return found


def _each(asked: str, data: Split, column: int, moved: Mapping[int, Mapping[int, int]]) -> tuple[list[Exchange], int]:
    feature, codes = data.schema.features[column], data.x[:, column].astype(int)
    if not feature.categories:
        given = f"{feature.name}, a column of numbers, which has no other value"
        raise Refused(
            f"{asked} by {feature.name}", given, "a column of categories; labkit.feature_effect follows a number"
        )
    known = [int(c) for c in np.unique(codes) if feature.categories[c] not in NO_GROUP]
    if len(known) < 2 or len(known) * (len(known) - 1) > DIRECTIONS:
        given = f"{feature.name} with {len(known)} values"
        raise Refused(f"{asked} by {feature.name}", given, "a column of two to ten values, some of them put together")
    odd, found = _hardly(data, column, codes), []
    for source in known:
        rows = np.flatnonzero(codes == source)
        for target in known:
            if target == source:
                continue
            after = _moved(data.x[rows], moved)
            after[:, column] = target
            strange = np.zeros(len(rows), bool)
            for other, values in odd.get(target, []):
                strange |= np.isin(after[:, other], values)
            words = [_words(data, a, b, [column, *moved]) for a, b in zip(data.x[rows], after)]
            names = feature.categories[source], feature.categories[target]
            found.append(Exchange(*names, rows, after, words, strange, np.zeros(len(rows), int)))
    return found, int((~np.isin(codes, known)).sum())


def _words(data: Split, before: np.ndarray, after: np.ndarray, columns: Sequence[int] | Mapping[int, object]) -> str:
    def name(c: int, v: float) -> str:
        return data.schema.features[c].categories[int(v)]

    changed = [c for c in columns if before[c] != after[c]]
    return ", ".join(f"{data.schema.features[c].name}: {name(c, before[c])} → {name(c, after[c])}" for c in changed)


def _hardly(data: Split, column: int, codes: np.ndarray) -> dict[int, list[tuple[int, np.ndarray]]]:
    """For each value of the column the values of other columns that hardly occur with it: column, values."""
    found: dict[int, list[tuple[int, np.ndarray]]] = {}
    for other, feature in enumerate(data.schema.features):
        if other == column or not feature.categories:
            continue
        size = len(feature.categories)
        rows = len(data.schema.features[column].categories)
        table = np.bincount(codes * size + data.x[:, other].astype(int), minlength=rows * size).reshape(rows, size)
        expected = table.sum(1, keepdims=True) * table.sum(0) / len(codes)
        strange = (expected >= EXPECTED) & (table < HARDLY * expected)
        for value in np.flatnonzero(strange.any(1)):
            found.setdefault(int(value), []).append((other, np.flatnonzero(strange[value])))
    return found


def _otherwise(x: np.ndarray, column: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, and the same with the column's value of another row, drawn among those that have another one."""
    own = x[:, column]
    drawn = own.copy()
    for _ in range(DRAWS):
        same = np.flatnonzero(drawn == own)
        drawn[same] = own[generator.integers(len(own), size=len(same))]
    rows = np.flatnonzero(drawn != own)
    after = x[rows].copy()
    after[:, column] = drawn[rows]
    return rows, x[rows], after
