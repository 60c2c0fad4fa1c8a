"""How a model looks beside its baselines: each one's value, and how far the model is ahead of it on the same rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import lead, number, spoken
from labkit.records.baselines import Baselines
from labkit.views._forest import mark, span
from labkit.views._style import COLOURS, MARKERS, base, errors


def figure(record: Baselines) -> go.Figure:
    """Left the values with 95 % intervals, the model first; right the paired differences, with a line at none."""
    count = len(record.baselines) + 1
    title = spoken(record.metric)
    result = make_subplots(
        1, 2, shared_yaxes=True, subplot_titles=[title, "model minus baseline"], horizontal_spacing=0.05
    )
    heading = f"{title} of the model and of simpler ones, {record.n} rows"
    result.update_layout(base(heading, height=150 + 40 * count).layout)
    result.update_layout(showlegend=False, margin={"l": 160})
    names = [record.model, *record.baselines]
    result.update_yaxes(tickvals=list(range(count)), ticktext=names, range=[count - 0.4, -0.6])
    own = tuple(np.array([v]) for v in (record.value, record.low, record.high))
    theirs = record.score, record.score_low, record.score_high
    difference = record.difference, record.difference_low, record.difference_high
    places = np.arange(1, count)
    _points(result, np.zeros(1), own, 1, look=0)
    _points(result, places, theirs, 1, look=1)
    mark(result, 0.0, count, "dot", row=1, col=2)
    _points(result, places, difference, 2, look=1)
    result.update_xaxes(range=span(*own, *theirs), row=1, col=1)
    result.update_xaxes(range=span(*difference, 0.0), row=1, col=2)
    return result


def _points(result: go.Figure, at: np.ndarray, values: tuple[np.ndarray, ...], col: int, look: int) -> None:
    value, low, high = values
    known = ~np.isnan(value)
    result.add_scatter(
        x=value[known],
        y=at[known],
        mode="markers",
        error_x=errors(value[known], low[known], high[known]),
        marker={"size": 9, "color": COLOURS[look], "symbol": MARKERS[look]},
        text=[number(v, a, b) for v, a, b in zip(value[known], low[known], high[known])],
        hoverinfo="text",
        row=1,
        col=col,
    )


def rows(record: Baselines) -> pd.DataFrame:
    """The model and each baseline, one a row: value, paired difference, rows that one alone gets right."""
    nothing = [np.nan]
    return pd.DataFrame(
        {
            "model": [record.model, *record.baselines],
            "what": ["the model itself", *record.about],
            "trained on": [record.trained_on or record.n_train, *record.fitted_on],
            "metric": record.metric,
            "value": [record.value, *record.score],
            "low": [record.low, *record.score_low],
            "high": [record.high, *record.score_high],
            "model minus it": [*nothing, *record.difference],
            "difference low": [*nothing, *record.difference_low],
            "difference high": [*nothing, *record.difference_high],
            "right by the model alone": [None, *record.only_model],
            "right by it alone": [None, *record.only_baseline],
        }
    )


def says(record: Baselines) -> str:
    """The model's value, the baseline that it is least ahead of, and the paired difference, in one sentence."""
    ahead, low, high = record.ahead
    name = spoken(record.metric)
    own = number(record.value, record.low, record.high, digits=3)
    begin = f"{name[:1].upper()}{name[1:]} is {own} on {record.n} rows"
    if np.isnan(ahead).all():
        return f"{begin}; no baseline has a value to compare it with."
    at = record.hardest
    nearest = f"the {record.baselines[at]}, fitted on {record.fitted_on[at]} training rows, has {record.score[at]:.3f}"
    if record.better == 0:
        return f"{begin}; {nearest}."
    unclear = ", which may be chance" if low[at] < 0 < high[at] else ""
    return f"{begin}; {nearest}: the model is {lead(ahead[at], low[at], high[at])} on the same rows{unclear}."
