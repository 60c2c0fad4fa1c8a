"""Counterfactuals of tables: each changed column before and after, and the share without a way by group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import share
from labkit.records.counterfactuals import Counterfactuals
from labkit.views._style import COLOURS, NEUTRAL, base, errors, rgba

if TYPE_CHECKING:
    from labkit.views.counterfactuals import Way

SHOWN, LONGEST = 4, 26


def figure(record: Counterfactuals, ways: list[Way]) -> go.Figure:
    """The first rows, one changed column a line: grey is what was, blue what it becomes, along the share of training rows
    that are less, ties by half. Categories have no place there and stand in words. Beneath, the share without a way."""
    shown = [i for i in range(len(record)) if record.found[i].any()][:SHOWN] or [0]
    lines = [max(1, int(record.edited[i].sum())) for i in shown]
    titles = [_title(record, i) for i in shown]
    heights = [*(line + 1.6 for line in lines), 0.6, len(ways) + 1.2]
    result = make_subplots(
        len(shown) + 2,
        1,
        subplot_titles=[*titles, "share of rows without a way, at most (95 % interval)"],
        specs=[*[[{}]] * len(shown), [None], [{}]],
        row_heights=heights,
        vertical_spacing=0.3 / (len(shown) + 2),
    )
    title = f"What would have to change: the first {len(shown)} of {len(record)} rows"
    result.update_layout(base(title, height=150 + int(27 * sum(heights)) + 46 * len(shown)).layout)
    result.update_layout(margin={"l": 370}, legend={"orientation": "h", "y": -0.1})
    result.update_annotations(font_size=12)
    for row, i in enumerate(shown, start=1):
        _changes(result, record, i, row)
    result.update_xaxes(title_text="share of training rows that are less, ties by half", row=len(shown), col=1)
    _without(result, ways, len(shown) + 2)
    result.update_xaxes(gridcolor=rgba(NEUTRAL, 0.25), zeroline=False, title_font_size=13)
    result.update_yaxes(gridcolor=rgba(NEUTRAL, 0.25), zeroline=False)
    return result


def _title(record: Counterfactuals, i: int) -> str:
    target = record.classes[record.target[i]]
    if not record.found[i].any():
        return f"row {record.row[i]}: no way to {target} was found"
    best = record.proba[i][record.found[i]]
    return f"row {record.row[i]}: {target} {record.before[i]:.2f} → {', '.join(f'{p:.2f}' for p in best)}"


def _changes(result: go.Figure, record: Counterfactuals, i: int, row: int) -> None:
    assert record.place_was is not None and record.place_becomes is not None
    labels, at = [], 0
    several = record.found.shape[1] > 1
    for j, unit in np.argwhere(record.edited[i]):
        number = f"{j + 1}. " if several else ""
        old, new = record.was[i][unit], record.becomes[i][j][unit]
        labels.append(f"{number}{record.names[unit]}: {_short(old)} → {_short(new)}")
        ends = record.place_was[i, unit], record.place_becomes[i, j, unit]
        if np.isnan(ends).any():
            style = {"color": NEUTRAL, "size": 11}
            note = go.Scatter(x=[0.5], y=[at], mode="text", text=["another category"], textfont=style, showlegend=False)
            result.add_trace(note.update(hoverinfo="skip"), row=row, col=1)
        else:
            _dots(result, ends, at, row)
        at += 1
    result.update_xaxes(range=[-0.03, 1.03], row=row, col=1)
    result.update_yaxes(
        tickvals=list(range(at)), ticktext=labels, range=[max(at, 1) - 0.4, -0.6], showgrid=False, row=row, col=1
    )


def _dots(result: go.Figure, ends: tuple[float, float], at: int, row: int) -> None:
    known = {trace.name for trace in result.data}
    line = {"color": NEUTRAL, "width": 1.5}
    result.add_scatter(
        x=list(ends), y=[at, at], mode="lines", line=line, showlegend=False, hoverinfo="skip", row=row, col=1
    )
    for name, x, tint, symbol in (
        ("is", ends[0], NEUTRAL, "circle"),
        ("would have to be", ends[1], COLOURS[0], "diamond"),
    ):
        result.add_scatter(
            x=[x],
            y=[at],
            mode="markers",
            marker={"size": 11, "color": tint, "symbol": symbol},
            name=name,
            legendgroup=name,
            showlegend=name not in known,
            hovertemplate="%{x:.2f} of training rows are less, ties by half<extra></extra>",
            row=row,
            col=1,
        )


def _without(result: go.Figure, ways: list[Way], row: int) -> None:
    value = np.array([w.without / w.n if w.n else np.nan for w in ways])
    low, high = np.array([(w.low, w.high) for w in ways]).T
    known = ~np.isnan(value)
    at = np.arange(len(ways))
    result.add_scatter(
        x=value[known],
        y=at[known],
        mode="markers",
        error_x=errors(value[known], low[known], high[known]),
        marker={"size": 9, "color": COLOURS[1], "symbol": "square"},
        text=[f"{share(v, w.low, w.high)}; median price {w.price:.2f}" for v, w in zip(value, ways) if w.n],
        hoverinfo="text",
        showlegend=False,
        row=row,
        col=1,
    )
    labels = [f"{w.feature + ': ' if w.feature else ''}{w.group} (n = {w.n})" for w in ways]
    result.update_yaxes(tickvals=at.tolist(), ticktext=labels, range=[len(ways) - 0.4, -0.6], row=row, col=1)
    most = float(np.nanmax(high, initial=0.1))
    result.update_xaxes(range=[-0.02 * most, min(1.02, 1.1 * most)], row=row, col=1)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
