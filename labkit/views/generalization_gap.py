"""How a generalization gap looks: training, validation and test data, with the score of a constant answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.words import number, spoken
from labkit.records.generalization_gap import GeneralizationGap
from labkit.views._forest import mark, span
from labkit.views._style import COLOURS, MARKERS, base, errors

PARTS = {"train": "training", "validation": "validation", "test": "test"}


def _values(record: GeneralizationGap) -> list[tuple[str, int, float, float, float]]:
    """Each part that was measured: what it is, n, value and interval."""
    values = [
        (word, getattr(record, f"n_{name}"), *(getattr(record, name + end) for end in ("", "_low", "_high")))
        for name, word in PARTS.items()
        if getattr(record, f"n_{name}")
    ]
    if record.duplicates > 0 and not np.isnan(record.unseen):
        n = record.n_test - record.duplicates
        values.append(("test, not in training", n, record.unseen, record.unseen_low, record.unseen_high))
    return values


def figure(record: GeneralizationGap) -> go.Figure:
    """Estimate and 95 % interval on each part of the data, with several training runs each of them as a small mark; for
    accuracy the majority's share as a dotted line."""
    values = _values(record)
    parts = [name for name, *_ in values if name in PARTS.values()]
    heading = f"{spoken(record.metric)} on {', '.join(parts[:-1])}{' and ' if parts[1:] else ''}{parts[-1]} data"
    runs = len(record.runs_test)
    heading += f", mean of {runs} training runs" if runs > 1 else ""
    result = base(heading, x=spoken(record.metric), height=130 + 50 * len(values))
    each = {word: getattr(record, f"runs_{name}") for name, word in PARTS.items()} if runs > 1 else {}
    for i, (word, _, value, low, high) in enumerate(values):
        if word in each:
            result.add_scatter(
                x=each[word],
                y=np.full(runs, i + 0.22),
                mode="markers",
                marker={"size": 5, "color": COLOURS[6], "symbol": "circle-open"},
                showlegend=False,
            )
        result.add_scatter(
            x=[value],
            y=[i],
            mode="markers",
            error_x=errors(np.array([value]), np.array([low]), np.array([high])),
            marker={"size": 10, "color": COLOURS[i], "symbol": MARKERS[i]},
            showlegend=False,
        )
    marks = [record.majority_share] if record.metric == "accuracy" else []
    result.update_xaxes(range=span([row[2:] for row in values], marks, *each.values()))
    result.update_yaxes(
        tickvals=list(range(len(values))),
        ticktext=[f"{name} (n = {n})" for name, n, *_ in values],
        range=[len(values) - 0.4, -0.6],
    )
    if marks:
        mark(result, record.majority_share, len(values), "dot")
        result.add_annotation(
            x=record.majority_share,
            y=-0.5,
            text="always the majority",
            showarrow=False,
            xanchor="left",
            xshift=4,
            yanchor="middle",
            font_size=11,
        )
    result.update_layout(margin={"l": 180})
    return result


def rows(record: GeneralizationGap) -> pd.DataFrame:
    """Training, validation, test and gap, one a row, with n and interval."""
    values = _values(record)
    if record.n_train:
        values.append(("gap", record.n_train + record.n_test, record.gap, record.gap_low, record.gap_high))
    table = pd.DataFrame(values, columns=["data", "n", "value", "low", "high"])
    table.insert(0, "metric", record.metric)
    return table


def says(record: GeneralizationGap) -> str:
    """The values, the gap with its interval, and whether that is overfitting or may be chance."""
    name = spoken(record.metric)
    told = [
        f"{number(value, low, high)} on {n} {word} rows"
        for word, n, value, low, high in _values(record)[: _parts(record)]
    ]
    runs = f" (mean of {len(record.runs_test)} training runs)" if len(record.runs_test) > 1 else ""
    known = f"{name[:1].upper()}{name[1:]}{runs} is {', '.join(told[:-1])}{' and ' if told[1:] else ''}{told[-1]}; "
    if not record.n_train:
        return f"{known}the gap is not measured because no training data were given."
    drop, low, high = record.drop
    if record.better == 0:
        return f"{known}they differ by {number(record.gap, record.gap_low, record.gap_high)}."
    if low > 0:
        return f"{known}the test value is worse by {number(drop, low, high)}."
    if high < 0:
        return f"{known}the test value is better by {number(-drop, -high, -low)}."
    return f"{known}no gap is shown: {number(drop, low, high)} worse in test."


def _parts(record: GeneralizationGap) -> int:
    return sum(bool(getattr(record, f"n_{name}")) for name in PARTS)
