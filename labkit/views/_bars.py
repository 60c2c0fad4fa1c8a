"""How an explanation of a table or a text looks: the largest contributions as bars, and a text's words in their order."""

from __future__ import annotations

import math

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.records.explain import Explanation
from labkit.views._deletion import curve, deletion, title
from labkit.views._entries import Entries, entries
from labkit.views._maps import heading, limit, maps
from labkit.views._style import COLOURS, DIVERGING, NEUTRAL, base

EXAMPLES, BARS, LINE = 3, 12, 6  # examples shown, bars for each, words in a line
_COLOUR = {"attribution": COLOURS[0], "random weights": NEUTRAL}


def figure(record: Explanation) -> go.Figure:
    """An example a row. Its largest parts as bars, with the standard error where the method samples, and beside them the
    same of random weights and of what the method itself sets beside, scaled to the attribution's largest value. A text
    stands before them, coloured word by word as a share of the largest; the deletion curve behind."""
    shown, reads = min(EXAMPLES, len(record)), record.modality == "text"
    parts = [entries(record, i) for i in range(shown)]
    count = min(BARS, max((len(p.labels) for p in parts), default=1))
    headings = [heading(record, i) for i in range(shown)]
    curves = deletion(record) is not None
    bars = 2 if reads else 1
    titles = []
    for i, text in enumerate(headings):
        titles += [f"{text} (red: for it, blue: against it)", ""] if reads else [text]
        titles += [title(record, i)] if curves else []
    lines = max((math.ceil(len(p.words) / LINE) for p in parts), default=1)
    result = make_subplots(
        shown,
        bars + curves,
        subplot_titles=titles,
        column_widths=[*([0.5] if reads else []), 0.32 if reads else 0.72, *([0.2] if curves else [])],
        horizontal_spacing=0.13 if reads else 0.1,
        vertical_spacing=0.3 / (shown + 1),
    )
    height = 110 + shown * (50 + 22 * count)
    result.update_layout(base(f"{record.method}: largest contributions", height=height).layout, barmode="group")
    result.update_layout(legend={"traceorder": "reversed"})
    result.update_annotations(font_size=12)
    for i in range(shown):
        if reads:
            _text(result, record, i, parts[i], lines)
        _contributions(result, record, i, parts[i], count, bars)
        curve(result, record, i, "words" if reads else "columns", (i + 1, bars + 1), last=i + 1 == shown)
    result.update_xaxes(title_text=f"contribution, by {record.method}", row=shown, col=bars)
    return result


def _contributions(figure: go.Figure, record: Explanation, i: int, parts: Entries, count: int, column: int) -> None:
    own = parts.summed(record.attribution[i])
    order = np.argsort(-np.abs(own), kind="stable")[:count][::-1]
    series = {name: parts.summed(values[i]) for name, values in maps(record).items()}
    # parts whose pieces were sampled together: their errors add up at most
    error = None if record.standard_error is None else parts.summed(record.standard_error[i])
    for j, (name, values) in reversed(list(enumerate(series.items()))):
        figure.add_bar(
            y=[parts.labels[p] for p in order],
            x=values[order] * (1 if j == 0 else limit(own) / limit(values)),
            error_x={"array": error[order], "thickness": 1, "width": 3} if j == 0 and error is not None else None,
            orientation="h",
            name=name if j == 0 else f"{name}, scaled",
            legendgroup=name,
            marker_color=_COLOUR.get(name, COLOURS[2]),
            showlegend=i == 0,
            row=i + 1,
            col=column,
        )
    figure.update_xaxes(zeroline=True, row=i + 1, col=column)


def _text(figure: go.Figure, record: Explanation, i: int, parts: Entries, lines: int) -> None:
    """The words in reading order, each on the colour of its share of the largest contribution."""
    values = parts.summed(record.attribution[i])
    cells = np.full((2, lines * LINE), np.nan)
    cells[:, : len(values)] = values / limit(values), values
    words = [*parts.words, *[""] * (lines * LINE - len(values))]
    shares, numbers = cells.reshape(2, lines, LINE)
    trace = go.Heatmap(
        z=shares,
        text=[words[k * LINE : (k + 1) * LINE] for k in range(lines)],
        customdata=numbers,
        texttemplate="%{text}",
        hovertemplate="%{text}: %{customdata:.3g}<extra></extra>",
        colorscale=DIVERGING,
        zmin=-1,
        zmax=1,
        showscale=False,
        xgap=2,
        ygap=6,
    )
    figure.add_trace(trace, row=i + 1, col=1)
    figure.update_xaxes(visible=False, row=i + 1, col=1)
    figure.update_yaxes(visible=False, autorange="reversed", row=i + 1, col=1)
