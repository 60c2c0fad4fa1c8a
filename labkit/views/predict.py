"""How predictions look: what was taken for what, and without truth what was answered."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.intervals import wilson
from labkit.core.words import share
from labkit.records.predict import Predictions
from labkit.views._style import COLOURS, base, errors


def counts(record: Predictions) -> np.ndarray:
    """(true class, answer) how many people of each true class were given each answer."""
    k = len(record.classes)
    return np.bincount(record.y * k + record.label, record.count, k * k).reshape(k, k).astype(np.int64)


def answers(record: Predictions) -> np.ndarray:
    """(answer,) how many people were given each answer."""
    return np.bincount(record.label, record.count, len(record.classes)).astype(np.int64)


def figure(record: Predictions) -> go.Figure:
    """The confusion matrix: counts, and the share of each true class. Many classes are shaded without numbers. Without
    truth the share of each answer with its 95 % interval."""
    return _matrix(record) if record.has_truth else _shares(record)


def _shares(record: Predictions) -> go.Figure:
    found, n = answers(record), record.people
    low, high = wilson(found, n)
    result = base(f"Answers to {n:,} people, truth not given", x="answer", y="share of people (95 % interval)")
    result.add_bar(
        x=list(range(len(found))),
        y=found / n,
        error_y=errors(found / n, low, high),
        marker={"color": COLOURS[0]},
        text=[f"n = {k:,}" for k in found],
        textposition="none",
        hoverinfo="text+y",
    )
    names = [f"{c} (n = {k:,})" for c, k in zip(record.classes, found)]
    result.update_xaxes(tickvals=list(range(len(found))), ticktext=names)
    result.update_yaxes(rangemode="tozero")
    return result


def _matrix(record: Predictions) -> go.Figure:
    table = counts(record)
    k = len(table)
    of = table.sum(1, keepdims=True)
    shares = np.divide(table, of, out=np.full(table.shape, np.nan), where=of > 0)
    result = base(f"Answers on {record.people} examples", x="answer", y="true class", height=min(720, 170 + 44 * k))
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
    """One example a row: true class where known, answer, the answer's probability where known, groups, and how many
    people the row stands for where rows were counted."""
    names = np.array(record.classes)
    table = pd.DataFrame({"label": names[record.label]})
    if record.has_truth:
        table.insert(0, "y", names[record.y])
    if record.proba is not None:
        table["confidence"] = record.proba[np.arange(len(record)), record.label]
    for group, values in record.groups.items():
        table[group] = values
    return table if record.count is None else table.assign(people=record.count)


def says(record: Predictions) -> str:
    """The share of right answers with its interval, beside the share of the most frequent class; without truth the
    share of the most frequent answer."""
    n = record.people
    if not record.has_truth:
        found = answers(record)
        top = int(found.argmax())
        low, high = wilson(int(found[top]), n)
        often = share(found[top] / n, float(low), float(high))
        return (
            f"Of {n} examples {found[top]} were answered {record.classes[top]!r}: {often}; truth is not given, so "
            "whether answers are right is not measured."
        )
    table = counts(record)
    hits, of = int(np.trace(table)), table.sum(1)
    low, high = wilson(hits, n)
    return (
        f"Of {n} examples {hits} were answered right: {share(hits / n, float(low), float(high))}; always answering "
        f"{record.classes[of.argmax()]!r} would be right for {share(of.max() / n)}."
    )
