"""How predictions look: what was taken for what."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.intervals import wilson
from labkit.core.words import share
from labkit.records.predict import Predictions
from labkit.views._style import base


def counts(record: Predictions) -> np.ndarray:
    """(true class, answer) how often each true class was given each answer."""
    k = len(record.classes)
    return np.bincount(record.y * k + record.label, minlength=k * k).reshape(k, k)


def figure(record: Predictions) -> go.Figure:
    """The confusion matrix: counts, and the share of each true class. Many classes are shaded without numbers."""
    table = counts(record)
    k = len(table)
    of = table.sum(1, keepdims=True)
    shares = np.divide(table, of, out=np.full(table.shape, np.nan), where=of > 0)
    result = base(f"Answers on {len(record)} examples", x="answer", y="true class", height=min(720, 170 + 44 * k))
    text = [[f"{n} ({s:.0%})" if n else "" for n, s in zip(*row)] for row in zip(table, shares)]
    result.add_heatmap(
        z=shares,
        x=list(range(k)),
        y=list(range(k)),
        zmin=0,
        zmax=1,
        colorscale="cividis",
        colorbar={"title": {"text": "share of the class"}, "tickformat": ".0%"},
        text=text,
        texttemplate="%{text}" if k <= 12 else None,
        hovertemplate="%{text}<extra></extra>",
    )
    result.update_xaxes(tickvals=list(range(k)), ticktext=list(record.classes), showgrid=False)
    names = [f"{c} ({int(n)})" for c, n in zip(record.classes, of.ravel())]
    result.update_yaxes(tickvals=list(range(k)), ticktext=names, autorange="reversed", showgrid=False)
    result.update_layout(margin={"l": 120})
    return result


def rows(record: Predictions) -> pd.DataFrame:
    """One example a row: true class, answer, the answer's probability where known, groups."""
    names = np.array(record.classes)
    table = pd.DataFrame({"y": names[record.y], "label": names[record.label]})
    if record.proba is not None:
        table["confidence"] = record.proba[np.arange(len(record)), record.label]
    for group, values in record.groups.items():
        table[group] = values
    return table


def says(record: Predictions) -> str:
    """The share of right answers with its interval, beside the share of the most frequent class."""
    n, hits = len(record), int((record.y == record.label).sum())
    low, high = wilson(hits, n)
    top = np.bincount(record.y, minlength=len(record.classes))
    constant = share(top.max() / n)
    return (
        f"Of {n} examples {hits} were answered right: {share(hits / n, float(low), float(high))}; always answering "
        f"{record.classes[top.argmax()]!r} would be right for {constant}."
    )
