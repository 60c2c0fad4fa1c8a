"""How a generalization gap looks: training beside test, with the score of a constant answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.words import number, spoken
from labkit.records.generalization_gap import GeneralizationGap
from labkit.views._forest import mark, span
from labkit.views._style import COLOURS, MARKERS, base, errors


def _values(record: GeneralizationGap) -> list[tuple[str, int, float, float, float]]:
    values = [
        ("training", record.n_train, record.train, record.train_low, record.train_high),
        ("test", record.n_test, record.test, record.test_low, record.test_high),
    ]
    if record.duplicates > 0 and not np.isnan(record.unseen):
        n = record.n_test - record.duplicates
        values.append(("test, not in training", n, record.unseen, record.unseen_low, record.unseen_high))
    return values


def figure(record: GeneralizationGap) -> go.Figure:
    """Estimate and 95 % interval on training and test data; for accuracy the majority's share as a dotted line."""
    values = _values(record)
    result = base(
        f"{spoken(record.metric)} on training and test data", x=spoken(record.metric), height=130 + 50 * len(values)
    )
    for i, (_, _, value, low, high) in enumerate(values):
        result.add_scatter(
            x=[value],
            y=[i],
            mode="markers",
            error_x=errors(np.array([value]), np.array([low]), np.array([high])),
            marker={"size": 10, "color": COLOURS[i], "symbol": MARKERS[i]},
            showlegend=False,
        )
    marks = [record.majority_share] if record.metric == "accuracy" else []
    result.update_xaxes(range=span([row[2:] for row in values], marks))
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
    """Training, test and gap, one a row, with n and interval."""
    values = [*_values(record), ("gap", record.n_train + record.n_test, record.gap, record.gap_low, record.gap_high)]
    table = pd.DataFrame(values, columns=["data", "n", "value", "low", "high"])
    table.insert(0, "metric", record.metric)
    return table


def says(record: GeneralizationGap) -> str:
    """Both values, the gap with its interval, and whether that is overfitting or may be chance."""
    drop, low, high = record.drop
    if record.better == 0:
        told = f"they differ by {number(record.gap, record.gap_low, record.gap_high)}"
    elif low > 0:
        told = f"the test value is worse by {number(drop, low, high)}"
    elif high < 0:
        told = f"the test value is better by {number(-drop, -high, -low)}"
    else:
        told = f"no gap is shown: {number(drop, low, high)} worse in test"
    name = spoken(record.metric)
    return (
        f"{name[:1].upper()}{name[1:]} is {number(record.train, record.train_low, record.train_high)} on {record.n_train} "
        f"training rows and {number(record.test, record.test_low, record.test_high)} on {record.n_test} test rows; {told}."
    )
