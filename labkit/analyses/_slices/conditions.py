"""Columns cut into bins, and the conditions on them that a slice or a cohort is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.analyses._columns import require_table
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.records.predict import Predictions
from labkit.records.scores import Scores


@dataclass(frozen=True, eq=False)
class Columns:
    """People by the bins of their columns.

    Attributes:
        names: of the columns. bins: of each column the names of its bins; a number's are in order.
        code: (n, columns) each person's bin; -1 where it is unknown.
        edges: of each number the values at which a bin begins; None for a category.
    """

    names: tuple[str, ...]
    bins: tuple[tuple[str, ...], ...]
    code: np.ndarray
    edges: tuple[np.ndarray | None, ...]

    def said(self, column: int, low: int, high: int) -> str:
        """The condition that a person is in the bins ``low`` to ``high`` of a column, in words."""
        edges, name = self.edges[column], self.names[column]
        return f"{name} = {self.bins[column][low]}" if edges is None else f"{name} {_range(edges, low, high)}"


def columns(asked: str, p: Predictions | Scores, features: Split | None, seen: np.ndarray, bins: int) -> Columns:
    """The columns of a table, and the sensitive features of the predictions that are no columns.

    Args:
        features: rows in the order of the predictions; None for the sensitive features alone.
        seen: the rows by which numbers are cut into ``bins`` parts of about equal size. A value that many share has its
            own bin.

    Raises:
        Refused: no table, other rows than the predictions', a number with holes, neither columns nor sensitive features.
    """
    found: list[tuple[str, np.ndarray, tuple[str, ...], np.ndarray | None]] = []
    if features is not None:
        table = require_table(asked, features)
        _same_rows(asked, p, table)
        for i, feature in enumerate(table.schema.features):
            values = table.x[:, i].astype(np.float64)
            if feature.kind == "categorical":
                found.append((feature.name, values.astype(np.int64), feature.categories, None))
            else:
                _whole(asked, feature.name, values)
                edges = _edges(values[seen], bins)
                code = np.searchsorted(edges, values, side="right")
                names = tuple(_range(edges, k, k) for k in range(len(edges) + 1))
                found.append((feature.name, code, names, edges))
    taken = {name for name, *_ in found}
    for name, group in p.groups.items():
        if name not in taken:
            groups, code = np.unique(group, return_inverse=True)
            unknown = int(groups[0] == "")
            found.append((name, code - unknown, tuple(groups[unknown:].tolist()), None))
    if not found:
        raise Refused(asked, "neither columns nor sensitive features", "features= with a table, such as data.test")
    parts = tuple(zip(*found))
    return Columns(parts[0], parts[2], np.column_stack(parts[1]), parts[3])


def copies(p: Predictions | Scores, features: Split | None) -> tuple[str, ...]:
    """A warning where people stand several times: then those who confirm are those who were searched.

    People who are merely alike in all columns still differ in the truth; where one in twenty or more has a twin, and twins'
    truths differ by less than a tenth of what those of any two people do, they are taken for copies.
    """
    if features is None or not len(p) or p.y is None or (isinstance(p, Predictions) and not p.has_truth):
        return ()
    columns = [np.unique(v, return_inverse=True)[1] for v in (*features.x.T, *p.groups.values())]
    alike = np.unique(np.column_stack(columns), axis=0, return_inverse=True)[1].ravel()
    truth = np.unique(p.y, return_inverse=True)[1]
    same = np.unique(np.column_stack([alike, truth]), axis=0, return_inverse=True)[1].ravel()
    twins, agreed, by_chance = (_pairs(code) for code in (alike, same, truth))
    many = int((np.bincount(alike)[alike] > 1).sum())
    others = 1 - by_chance / _pairs(np.zeros(len(p), int)) if len(p) > 1 else 0.0
    if many < len(p) / 20 or 1 - agreed / twins >= others / 10:
        return ()
    said = f"{many} of {len(p)} people have another with the same columns and the same truth, as copies have"
    return (f"{said}: the people who confirm are then those who were searched, and intervals are too narrow",)


def _pairs(code: np.ndarray) -> float:
    """How many pairs of people have the same code."""
    n = np.bincount(code).astype(float)
    return float((n * (n - 1) / 2).sum())


def _whole(asked: str, name: str, values: np.ndarray) -> None:
    holes = int((~np.isfinite(values)).sum())
    if holes:
        instead = "fill them, drop those rows, or declare the column categorical, with a category for what is missing"
        raise Refused(f"{asked} by the column {name}", f"{holes} values missing or not finite", instead)


def _same_rows(asked: str, p: Predictions | Scores, table: Split) -> None:
    instead = "the table whose rows were predicted, in their order, such as data.test"
    if len(table) != len(p):
        raise Refused(asked, f"{len(table)} rows of features for {len(p)} predictions", instead)
    told = isinstance(p, Predictions) and p.has_truth and p.classes == table.classes
    if told and not np.array_equal(np.asarray(p.y), table.y):
        raise Refused(asked, f"features of {table.name} whose true classes are others than the predictions'", instead)


def _edges(values: np.ndarray, bins: int) -> np.ndarray:
    """Where bins begin: quantiles, and behind a value that many share the next one; rounded to what is read,
    and whole numbers of type integer where all values are."""
    distinct = np.unique(values)
    if len(distinct) < 2:
        return np.zeros(0)
    cuts, times = np.unique(np.quantile(values, np.arange(1, bins) / bins, method="higher"), return_counts=True)
    shared = cuts[(times > 1) | (cuts == distinct[0])]
    behind = np.searchsorted(distinct, shared, side="right")
    edges = np.concatenate([cuts, distinct[behind[behind < len(distinct)]]])
    rounded = np.round(edges, 2 - int(np.floor(np.log10(distinct[-1] - distinct[0]))))
    whole = (distinct == np.round(distinct)).all()
    edges = np.unique(edges.astype(np.int64) if whole else rounded)
    return edges[(edges > distinct[0]) & (edges <= distinct[-1])]


def _range(edges: np.ndarray, low: int, high: int) -> str:
    """The bins ``low`` to ``high`` of a number in words, as ``labkit.data`` names ranges."""
    if not len(edges):
        return "any"
    if low == 0:
        return f"under {edges[high]:.10g}"
    if high == len(edges):
        return f"{edges[low - 1]:.10g} and over"
    if edges.dtype.kind != "i":
        return f"{edges[low - 1]:.10g} to under {edges[high]:.10g}"
    first, last = edges[low - 1], edges[high] - 1
    return f"{first:.10g}" if first == last else f"{first:.10g} to {last:.10g}"


def conditions(table: Columns) -> np.ndarray:
    """(conditions, 3): a column and the first and last bin of a run of its bins; of a category one bin each."""
    found = []
    for i, (names, edges) in enumerate(zip(table.bins, table.edges)):
        size = len(names)
        if edges is None:
            found += [(i, k, k) for k in range(size)]
        else:
            found += [(i, a, b) for a in range(size) for b in range(a, size) if b - a < size - 1]
    return np.array(found, np.int64).reshape(-1, 3)


def held(code: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """(conditions, n): whether each condition holds of each row of bins."""
    column, low, high = chosen.T
    values = code.T[column]
    return (values >= low[:, None]) & (values <= high[:, None])
