"""What may change in a row of a table, and how; and whether a changed row keeps to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from labkit.core.record import freeze
from labkit.core.refused import Refused, unknown
from labkit.data.schema import Schema
from labkit.data.tabular import OTHER, UNKNOWN

ASKED = "constraints"
# Categories that say what is not known: nobody can change to them.
NO_AIM = (OTHER, UNKNOWN)


@dataclass(frozen=True)
class Constraints:
    """What may change in a row of a table. Columns go by their names, or by their numbers.

    Attributes:
        immutable: columns that cannot change, beside those that the schema says cannot.
        rising, falling: numbers that may only become larger, or smaller, such as an age; also where the schema says that
            the column cannot change.
        limits: the least and the greatest value that a number may be changed to; else those seen in training.
        whole: columns of whole numbers; None takes those that hold nothing else in training.
        together: one-hot columns: of each tuple exactly one is 1 and the others are 0. None takes those that are so in
            every training row (``one_hot``), () lets each column change alone.
    """

    immutable: tuple[str, ...] = ()
    rising: tuple[str, ...] = ()
    falling: tuple[str, ...] = ()
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    whole: tuple[str, ...] | None = None
    together: tuple[tuple[str, ...], ...] | None = None

    def __post_init__(self) -> None:
        freeze(self)

    def describe(self) -> dict[str, Any]:
        """Everything as plain values, as a provenance records it."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def constraints(given: Constraints | Mapping[str, Any] | None, schema: Schema, background: np.ndarray) -> Constraints:
    """Constraints with everything filled in from the schema and from training rows.

    Args:
        given: Constraints, or their fields as a mapping; None takes the schema's.
        background: (n, columns) training rows.

    Raises:
        Refused: a key or column that is not there; a category that should rise or have limits; a column with two
            directions; limits the wrong way round; one-hot columns that are not, in training.
    """
    names = [f.name for f in schema.features]
    made = _named(given if isinstance(given, Constraints) else _made(given or {}), names)
    if made.together is None:
        made = replace(made, together=one_hot(schema, background))
    kinds = {f.name: f.kind for f in schema.features}
    for name in (*made.rising, *made.falling, *made.limits, *(made.whole or ())):
        if kinds[name] == "categorical":
            raise Refused(f"{ASKED} on {name}", "categories, which have no order", "a column of numbers")
    for name in set(made.rising) & (set(made.falling) | set(made.immutable)) | set(made.falling) & set(made.immutable):
        raise Refused(f"{ASKED} on {name}", "two of rising, falling and immutable", "one of them")
    for name, ends in made.limits.items():
        if len(ends) != 2 or not ends[0] <= ends[1]:
            raise Refused(f"{ASKED} with limits of {name}", repr(ends), "(low, high) with low <= high")
    _check_together(made, names, background)
    moving = {*made.rising, *made.falling}
    fixed = {f.name for f in schema.features if f.immutable and f.name not in moving}
    column = dict(zip(names, background.T))
    numbers = [name for name in names if kinds[name] == "numeric"]
    return replace(
        made,
        immutable=tuple(sorted({*made.immutable, *fixed})),
        limits={n: _ends(*made.limits.get(n, (column[n].min(), column[n].max()))) for n in numbers},
        whole=made.whole if made.whole is not None else tuple(n for n in numbers if _whole(column[n]).all()),
    )


def one_hot(schema: Schema, background: np.ndarray) -> tuple[tuple[str, ...], ...]:
    """Numbers that are 0 or 1, follow each other among such columns, and of which exactly one is 1 in every training row.

    Columns with one value alone are in no group.
    """
    found: list[tuple[str, ...]] = []
    names: list[str] = []
    ones = np.zeros(len(background))
    for i, feature in enumerate(schema.features):
        column = background[:, i]
        if feature.kind != "numeric" or not np.array_equal(np.unique(column), [0, 1]):
            continue
        names, ones = [*names, feature.name], ones + column
        while ones.max() > 1:  # what was begun too early goes
            ones = ones - background[:, [f.name for f in schema.features].index(names.pop(0))]
        if ones.min() == 1:
            found, names, ones = [*found, tuple(names)], [], np.zeros(len(background))
    return tuple(found)


def violations(before: np.ndarray, after: np.ndarray, schema: Schema, agreed: Constraints) -> list[str]:
    """What a changed row breaks, in words; nothing when it keeps to everything.

    Looks at the two rows, the schema and the constraints alone, and knows nothing of how the row was found. A value that
    has not changed breaks nothing.

    Args:
        before, after: (columns,) one row.
        agreed: from ``constraints``.
    """
    found = []
    names = [f.name for f in schema.features]
    for feature, old, new in zip(schema.features, before.tolist(), after.tolist()):
        if new == old:
            continue
        name = feature.name
        if name in agreed.immutable:
            found.append(f"{name} cannot change")
        if feature.kind == "categorical":
            known = float(new).is_integer() and 0 <= new < len(feature.categories)
            if not known or feature.categories[int(new)] in NO_AIM:
                found.append(
                    f"{name} became {feature.categories[int(new)] if known else new}, no category to change to"
                )
            continue
        low, high = agreed.limits[name]
        slack = 1e-6 * (high - low)
        if not low - slack <= new <= high + slack:
            found.append(f"{name} became {new:g}, outside {low:g} to {high:g}")
        if name in (agreed.whole or ()) and not float(new).is_integer():
            found.append(f"{name} became {new:g}, no whole number")
        if (name in agreed.rising and new < old) or (name in agreed.falling and new > old):
            found.append(f"{name} went from {old:g} to {new:g}, the wrong way")
    for columns in agreed.together or ():
        places = [names.index(name) for name in columns]
        values = after[places].tolist()
        if values != before[places].tolist() and sorted(values) != [0.0] * (len(values) - 1) + [1.0]:
            found.append(f"of {', '.join(columns)} not exactly one is 1")
    return found


def _made(given: Mapping[str, Any]) -> Constraints:
    known = {f.name for f in fields(Constraints)}
    for key, value in given.items():
        if key not in known:
            raise unknown(f"{ASKED} with the key", key, known)
        lists = [value, *value] if key == "together" and isinstance(value, list | tuple) else [value]
        right = Mapping if key == "limits" else (list, tuple, set)
        if not all(isinstance(v, right) for v in lists) and not (value is None and key in ("whole", "together")):
            what = "a list of lists of columns" if key == "together" else "a list of columns"
            instead = "{column: (low, high)}" if key == "limits" else what
            raise Refused(f"{ASKED} with {key}={value!r}", f"a {type(value).__name__}", instead)
    plain: dict[str, Any] = {k: v if isinstance(v, Mapping) else _tuple(v) for k, v in given.items()}
    return Constraints(**plain)


def _named(made: Constraints, names: list[str]) -> Constraints:
    """The same with each column by its name."""

    def called(column: Any) -> str:
        if column in names:
            return str(column)
        if isinstance(column, int | np.integer) and not isinstance(column, bool) and 0 <= column < len(names):
            return names[column]
        raise unknown(f"{ASKED} on the column", column, names)

    def each(columns: tuple[Any, ...] | None) -> Any:
        return None if columns is None else tuple(called(c) for c in columns)

    return replace(
        made,
        **{key: each(getattr(made, key)) for key in ("immutable", "rising", "falling", "whole")},
        limits={called(c): ends for c, ends in made.limits.items()},
        together=None if made.together is None else tuple(each(columns) for columns in made.together),
    )


def _ends(low: float, high: float) -> tuple[float, float]:
    return float(low), float(high)


def _tuple(value: Iterable[Any] | None) -> tuple[Any, ...] | None:
    return None if value is None else tuple(tuple(v) if isinstance(v, list | tuple | set) else v for v in value)


def _check_together(made: Constraints, names: list[str], background: np.ndarray) -> None:
    seen: set[str] = set()
    for columns in made.together or ():
        if len(columns) < 2 or seen & set(columns):
            raise Refused(f"{ASKED} with together={columns}", "one column, or one named twice", "two columns or more")
        seen |= set(columns)
        part = background[:, [names.index(name) for name in columns]]
        if not ((part == 0) | (part == 1)).all() or not (part.sum(1) == 1).all():
            what = "columns of which in training not exactly one is 1"
            raise Refused(f"{ASKED} with together={columns}", what, "one-hot columns that belong together")


def _whole(values: np.ndarray) -> np.ndarray:
    return values == np.round(values)
