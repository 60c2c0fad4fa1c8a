"""How prototypes look: those of each class and what they leave out, and what they are worth beside random examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.words import lead, number
from labkit.records.prototypes import Prototypes
from labkit.views._forest import span
from labkit.views._gallery import gallery
from labkit.views._style import COLOURS, MARKERS, NEUTRAL, base, errors


def figure(record: Prototypes) -> go.Figure:
    """Images: prototypes and then criticisms, one class a row. Others: the accuracy of the nearest prototype's class
    beside random examples; without test examples, what each prototype leaves of the class uncovered."""
    if record.pictures is not None and record.criticism_pictures is not None:
        return _pictures(record, record.pictures, record.criticism_pictures)
    return _accuracy(record) if record.tested else _covers(record)


def _pictures(record: Prototypes, pictures: np.ndarray, odd: np.ndarray) -> go.Figure:
    lines = []
    for c, name in enumerate(record.classes):
        own = [(f"{name} {i + 1}" if i == 0 else str(i + 1), image) for i, image in enumerate(pictures[c])]
        other = [("criticism" + _taken(record, c, i), image) for i, image in enumerate(odd[c])]
        lines.append([*own, *other])
    worth = f"; nearest prototype right on {number(*record.accuracy)}" if record.tested else ""
    return gallery(f"Prototypes and criticisms at {record.layer}{worth}", lines)


def _taken(record: Prototypes, c: int, i: int) -> str:
    """What the model takes a criticism for, where it is another class."""
    answer = record.answers[record.criticism_predicted[c, i]]
    return "" if answer == record.classes[c] else f": {answer}?"


def _accuracy(record: Prototypes) -> go.Figure:
    value, low, high = (np.array([v]) for v in record.accuracy)
    result = base(f"Nearest prototype's class, {record.tested} test examples", x="accuracy", height=240)
    marker: dict[str, Any] = {"size": 10, "color": COLOURS[0], "symbol": MARKERS[0]}
    result.add_scatter(x=value, y=[0], mode="markers", marker=marker, error_x=errors(value, low, high))
    marker = {"size": 7, "color": NEUTRAL, "symbol": MARKERS[1], "opacity": 0.5}
    result.add_scatter(x=record.random, y=np.ones(len(record.random)), mode="markers", marker=marker)
    marker = {"size": 10, "color": COLOURS[1], "symbol": MARKERS[2]}
    result.add_scatter(x=[record.model_accuracy], y=[2], mode="markers", marker=marker)
    names = ["prototypes", "random examples", "the model"]
    result.update_yaxes(tickvals=[0, 1, 2], ticktext=names, range=[2.6, -0.6])
    result.update_xaxes(range=span(*record.accuracy, record.random, record.model_accuracy))
    result.update_layout(showlegend=False, margin={"l": 140})
    return result


def _covers(record: Prototypes) -> go.Figure:
    result = base(f"What is left uncovered at {record.layer}", x="prototypes", y="squared kernel distance")
    x = list(range(1, record.cover.shape[1] + 1))
    for name, values, look in (("prototypes", record.cover, 0), ("random examples", record.random_cover, 1)):
        marker = {"color": COLOURS[look], "symbol": MARKERS[look]}
        result.add_scatter(x=x, y=values.mean(0), name=name, mode="lines+markers", marker=marker)
    result.update_xaxes(tickvals=x)
    return result


def rows(record: Prototypes) -> pd.DataFrame:
    """One prototype or criticism a row."""
    tables = []
    kinds = (
        ("prototype", record.index, record.predicted, record.texts),
        ("criticism", record.criticism, record.criticism_predicted, record.criticism_texts),
    )
    for kind, index, predicted, texts in kinds:
        c, i = np.indices(index.shape).reshape(2, -1)
        table = pd.DataFrame(
            {
                "class": np.array(record.classes)[c],
                "kind": kind,
                "order": i + 1,
                "number": index.ravel(),
                "the model's answer": np.array(record.answers)[predicted].ravel(),
                "left uncovered": record.cover.ravel() if kind == "prototype" else np.nan,
                "by random examples": record.random_cover.ravel() if kind == "prototype" else np.nan,
            }
        )
        if texts:
            table["text"] = [text for line in texts for text in line]
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def says(record: Prototypes) -> str:
    """What the prototypes are worth: their accuracy on test examples beside random examples'."""
    count, n = record.index.shape[1], int(record.n.sum())
    start = f"{count} prototypes of each of {len(record.classes)} classes, chosen from {n:,} examples at {record.layer}"
    if not record.tested:
        left = record.cover[:, -1].mean() / max(record.random_cover[:, -1].mean(), 1e-12)
        return f"{start}, leave {left:.2f} times as much of them uncovered as random examples; no test examples were given."
    gain, low, high = record.better
    unclear = ", which may be chance" if low <= 0 <= high else ""
    return (
        f"{start}: the nearest one has the right class for {number(*record.accuracy)} of {record.tested} test examples, "
        f"{lead(gain, low, high)} of random examples{unclear}; the model is right on {number(record.model_accuracy)}."
    )
