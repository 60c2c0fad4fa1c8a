"""How counterfactuals look: what was and what it would have to be, and for whom nothing was found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.intervals import wilson
from labkit.core.words import counted
from labkit.records.counterfactuals import Counterfactuals
from labkit.views._counterfactual import inputs, tables, texts
from labkit.views._style import base


class Way(NamedTuple):
    """For how many of some rows no way was found, with Wilson's interval; and the median price of the ways found."""

    feature: str
    group: str
    n: int
    without: int
    low: float
    high: float
    price: float


def figure(record: Counterfactuals) -> go.Figure:
    """Tables: each changed column before and after, on the scale of training rows, over the share without a way by group.
    Images, sound and series: the input, the changed one, the difference and the target's probability change by change.
    Texts: the words, those left out struck through, those put in their place beneath."""
    if not len(record):
        return base("Every row has the target already")
    if record.modality == "tabular":
        return tables.figure(record, ways(record))
    if record.modality == "text":
        return texts.figure(record)
    return inputs.figure(record)


def ways(record: Counterfactuals) -> list[Way]:
    """All rows, and each group."""
    whole = [("", "all rows", np.ones(len(record), bool))]
    groups = [(f, str(g), v == g) for f, v in record.groups.items() for g in np.unique(v[v != ""])]
    return list(_ways(record, [*whole, *groups]))


def _ways(record: Counterfactuals, groups: list[tuple[str, str, np.ndarray]]) -> Iterator[Way]:
    price = record.price[:, 0]
    for feature, group, rows in groups:
        n, without = int(rows.sum()), int(record.without[rows].sum())
        low, high = (float(end) for end in wilson(without, n))
        known = price[rows][~np.isnan(price[rows])]
        yield Way(feature, group, n, without, low, high, float(np.median(known)) if len(known) else float("nan"))


def rows(record: Counterfactuals) -> pd.DataFrame:
    """One counterfactual a row, and one that says so for each row without: what changes, its price, and what it is worth."""
    at = [(i, j) for i in range(len(record)) for j in range(record.found.shape[1]) if record.found[i, j] or j == 0]
    i, j = np.array(at, int).reshape(-1, 2).T
    there = record.found[i, j]
    classes = np.array(record.classes)
    table = {
        "row": record.row[i],
        "counterfactual": j,
        "found": there,
        "answer": classes[record.label[i]],
        "target": classes[record.target[i]],
        "probability before": record.before[i],
        "probability after": record.proba[i, j],
        "changed": record.changes[i, j],
        "changes": [_changes(record, a, b) if t else "none found" for a, b, t in zip(i, j, there)],
        "cost": record.cost[i, j],
        "price": record.price[i, j],
        "real rows as far": record.real[i, j],
        "kept under noise": record.kept[i, j],
        "random search: found": record.control_found[i],
        "random search: price": record.control_price[i],
    }
    return pd.DataFrame(table | {name: values[i] for name, values in record.groups.items()})


def _changes(record: Counterfactuals, i: int, j: int) -> str:
    if not record.was:
        return _counted(float(record.changes[i, j]), record.noun)
    names = [f"{name}: " for name in record.names] or [""] * len(record.was[i])
    parts = zip(names, record.was[i], record.becomes[i][j], record.edited[i, j])
    return "; ".join(f"{name}{old} → {new or '(left out)'}" for name, old, new, edited in parts if edited)


def _counted(count: float, noun: str) -> str:
    return f"{count:g} {noun.removesuffix('s') if count == 1 else noun}"


def says(record: Counterfactuals) -> str:
    """How many get the target by how many changes, how many at most have no way, and what random search finds."""
    n, there = len(record), record.found[:, 0]
    low, high = (float(end) for end in wilson(there.sum(), n))
    none = int(record.without.sum())
    targets = np.unique(record.target)
    aim = f"the answer {record.classes[targets[0]]!r}" if len(targets) == 1 else "another answer"
    got = counted(int(there.sum()), n, low, high, "rows")
    parts = [f"{got} get {aim} by changes that were found and asked again"]
    if there.any():
        changes = record.changes[there, 0]
        parts.append(f"at the median {_counted(float(np.median(changes)), record.noun)} (at most {changes.max()})")
    low, high = (float(end) for end in wilson(none, n))
    proven = int(record.none_exists.sum())
    sure = f", and {proven} have none, for all was looked at" if proven else ""
    parts.append(f"at most {counted(none, n, low, high)} have no way{sure}")
    if record.control_queries.any():
        own, other = record.price[:, 0], record.control_price
        both = ~np.isnan(own) & ~np.isnan(other)
        cheaper = int((own[both] < other[both] - 1e-9).sum())
        parts.append(
            f"random search with as many questions finds one for {int(record.control_found.sum())} of {n}, and a dearer one "
            f"on {cheaper} of {int(both.sum())} that both find"
        )
    return "; ".join(parts) + "."
