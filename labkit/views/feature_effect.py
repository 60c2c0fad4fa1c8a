"""How the effect of one column looks: the mean over single rows' lines, and the accumulated local effects beside it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.intervals import wilson
from labkit.core.words import counted, number
from labkit.records.feature_effect import FeatureEffect
from labkit.views._style import COLOURS, NEUTRAL, base, errors, rgba

LINES = 20


def figure(record: FeatureEffect) -> go.Figure:
    """Left the mean answer with its 95 % interval over single rows' lines, right the accumulated local effects with
    theirs; ticks at the foot say where rows are. Categories have the left part alone, as points."""
    if record.categories:
        return _categories(record)
    result = make_subplots(
        1, 2, subplot_titles=["all rows set to the value", "rows moved as far as they lie"], horizontal_spacing=0.12
    )
    result.update_layout(base(f"{record.feature} and the answer {record.target}, {record.n} rows", height=380).layout)
    result.update_layout(legend={"y": -0.28})
    for k, line in enumerate(record.lines[:: max(1, len(record.lines) // LINES)]):
        style = {"color": rgba(NEUTRAL, 0.35), "width": 1}
        single = go.Scatter(x=record.grid, y=line, mode="lines", name="single rows", showlegend=k == 0, line=style)
        result.add_trace(single, row=1, col=1)
    _band(result, record.grid, record.partial, record.partial_low, record.partial_high, 0, "partial dependence", 1)
    _band(result, record.edges, record.local, record.local_low, record.local_high, 1, "accumulated local effect", 2)
    foot = float(min(record.lines.min(), record.partial_low.min()))
    result.add_scatter(
        x=record.grid,
        y=np.full(len(record.grid), foot),
        mode="markers",
        marker={"symbol": "line-ns-open", "size": 9, "color": NEUTRAL},
        name="where rows are",
        row=1,
        col=1,
    )
    unit = f" ({record.unit})" if record.unit else ""
    result.update_xaxes(title_text=f"{record.feature}{unit}")
    result.update_yaxes(title_text=f"answer {record.target}", row=1, col=1)
    result.update_yaxes(title_text="change of it", zeroline=True, row=1, col=2)
    return result


def _band(
    result: go.Figure, x: np.ndarray, y: np.ndarray, low: np.ndarray, high: np.ndarray, look: int, name: str, col: int
) -> None:
    area = go.Scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        fill="toself",
        fillcolor=rgba(COLOURS[look], 0.2),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
    )
    result.add_trace(area, row=1, col=col)
    line = go.Scatter(x=x, y=y, mode="lines", name=name, line={"color": COLOURS[look], "width": 2.5})
    result.add_trace(line, row=1, col=col)


def _categories(record: FeatureEffect) -> go.Figure:
    order = np.argsort(record.partial, kind="stable")
    heading = f"{record.feature} and the answer {record.target}, {record.n} rows"
    result = base(heading, f"mean answer {record.target}, all rows set to the value", height=130 + 26 * len(order))
    value, low, high = (v[order] for v in (record.partial, record.partial_low, record.partial_high))
    result.add_scatter(
        x=value,
        y=[f"{record.categories[k]} ({record.count[k]} rows)" for k in order],
        mode="markers",
        error_x=errors(value, low, high),
        marker={"size": 9, "color": COLOURS[0]},
        showlegend=False,
    )
    return result.update_layout(margin={"l": 190})


def rows(record: FeatureEffect) -> pd.DataFrame:
    """One value of the column a row, with the mean answer and the accumulated local effect up to it."""
    table = pd.DataFrame(
        {
            record.feature: record.categories or record.grid,
            "rows": record.count,
            "partial dependence": record.partial,
            "low": record.partial_low,
            "high": record.partial_high,
        }
    )
    if len(record.edges):
        table["accumulated local effect"] = record.local
        table["local low"], table["local high"] = record.local_low, record.local_high
    return table


def says(record: FeatureEffect) -> str:
    """From least to greatest value, what the answer does, in how many rows it goes the other way, and what to mind."""
    if record.categories:
        low, high = int(record.partial.argmin()), int(record.partial.argmax())
        return (
            f"With every row set to {record.feature} = {record.categories[low]} the mean answer {record.target} is "
            f"{_at(record, low)}, with {record.categories[high]} {_at(record, high)}, over {record.n} rows."
        )
    ends = wilson(record.against, record.n)
    rise = record.local[-1] - record.local[0]
    alike = f" {record.feature} hardly moves apart from {', '.join(record.alike)}." if record.alike else ""
    return (
        f"From {record.feature} = {record.grid[0]:g} to {record.grid[-1]:g} the mean answer {record.target} goes from "
        f"{_at(record, 0)} to {_at(record, -1)}; it goes the other way for "
        f"{counted(record.against, record.n, float(ends[0]), float(ends[1]), 'rows')}. Accumulated over the rows as they "
        f"lie, the change is {rise:+.2g}.{alike}"
    )


def _at(record: FeatureEffect, k: int) -> str:
    return number(record.partial[k], record.partial_low[k], record.partial_high[k])
