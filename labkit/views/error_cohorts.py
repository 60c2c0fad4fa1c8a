"""How error cohorts look: the tree from left to right, and a heat map of any two columns."""

from __future__ import annotations

from textwrap import wrap

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.words import number, p_value, share
from labkit.records.error_cohorts import Cohorts
from labkit.views._style import COLOURS, NEUTRAL, base, rgba

WIDTH, LETTERS, MOST_ACROSS = 0.86, 26, 10
SHADES = [[0, "#fdf3ec"], [1, COLOURS[1]]]


def figure(record: Cohorts) -> go.Figure:
    """The tree: each box says what it asks, the value among people on whom it was not grown, its interval, and n. The
    redder, the worse; a bold frame where a leaf is beyond what the worst leaf reaches by chance one time in 20."""
    depth, height = _places(record)
    leaves = int(record.leaf.sum())
    what = record.metric if record.rate else f"mean {record.metric}"
    heading = f"cohorts by {what}: tree grown on {record.grown:,} people, told by {record.honest:,} others"
    result = base(heading, height=110 + 78 * max(leaves, 2))
    known = record.value[~np.isnan(record.value)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    for k, parent in enumerate(record.parent):
        if parent >= 0:
            ends = [depth[parent] + WIDTH / 2, depth[parent] + 0.5, depth[parent] + 0.5, depth[k] - WIDTH / 2]
            levels = [height[parent], height[parent], height[k], height[k]]
            line = {"color": NEUTRAL, "width": 1.2}
            result.add_scatter(x=ends, y=levels, mode="lines", line=line, hoverinfo="skip", showlegend=False)
        beyond = record.leaf[k] and record.value[k] > record.chance95[k]
        shade = 0.05 + 0.35 * (record.value[k] - low) / (high - low) if high > low and record.n[k] else 0.05
        result.add_shape(
            type="rect",
            x0=depth[k] - WIDTH / 2,
            x1=depth[k] + WIDTH / 2,
            y0=height[k] - 0.42,
            y1=height[k] + 0.42,
            fillcolor=rgba(COLOURS[1], float(shade)),
            line={"width": 2.4 if beyond else 0.8, "color": COLOURS[1] if beyond else NEUTRAL},
            layer="below",
        )
    texts = [_box(record, k) for k in range(len(record.node))]
    result.add_scatter(
        x=depth, y=height, mode="text", text=texts, textfont={"size": 11}, hoverinfo="skip", showlegend=False
    )
    result.update_xaxes(visible=False, range=[-0.5, max(float(depth.max()), 1.0) + 0.5])
    return result.update_yaxes(visible=False, range=[leaves - 0.4, -0.6]).update_layout(
        margin={"l": 10, "r": 10, "b": 10}
    )


def _places(record: Cohorts) -> tuple[np.ndarray, np.ndarray]:
    """(nodes,) how deep each stands, and how far down: leaves one below the other, the others midway of their two."""
    depth, height = np.zeros(len(record.node)), np.zeros(len(record.node))
    children: list[list[int]] = [[] for _ in record.node]
    for k, parent in enumerate(record.parent):
        if parent >= 0:
            depth[k] = depth[parent] + 1
            children[parent].append(k)
    order, down = [0], 0
    while order:
        node = order.pop(0)
        order = children[node] + order
        if not children[node]:
            height[node], down = down, down + 1
    for node in reversed(range(len(record.node))):
        if children[node]:
            height[node] = np.mean(height[children[node]])
    return depth, height


def _box(record: Cohorts, k: int) -> str:
    value = number(record.value[k], record.low[k], record.high[k]) if record.n[k] else "nobody here"
    lines = [*wrap(record.node[k], LETTERS, break_on_hyphens=False), value, f"n = {record.n[k]:,}"]
    if len(record.node) == 1 and record.splits:
        lines.append(f"none of {record.splits} splits is more than chance")
    return "<br>".join(lines)


def heat_map(record: Cohorts, first: str = "", second: str = "") -> go.Figure:
    """The value by two columns, all people; by default the two whose worst cell is least like chance.

    Cells of fewer people than are compared stay blank, their numbers in brackets. Of the others the worst in its standard
    errors is framed; the title says how often chance alone gives one as bad.

    Raises:
        Refused: a column that was not on offer, or twice the same.
    """
    k = record.pair(first, second) if first or second else record.surest_pair
    names = [record.columns[record.first[k]], record.columns[record.second[k]]]
    down, across = (record.bins_of(name) for name in names)
    if len(across) > len(down):
        names, down, across = names[::-1], across, down
    n, harm = record.people[np.ix_(down, across)], record.harm[np.ix_(down, across)]
    value = np.divide(harm, n, out=np.full(n.shape, np.nan), where=n > 0)
    enough = n >= record.least
    texts = [[_cell(value[i, j], n[i, j], enough[i, j]) for j in range(len(across))] for i in range(len(down))]
    written = len(across) <= MOST_ACROSS
    small = (
        f" ({'in brackets' if written else 'blank'}: fewer than {record.least} people)"
        if ((n > 0) & ~enough).any()
        else ""
    )
    what = record.metric if record.rate else f"mean {record.metric}"
    heading = f"{what} by {names[0]} and {names[1]}, {int(n.sum()):,} people; {_worst_cell(record, k)}"
    result = base(heading, names[1] + small, names[0], height=170 + max(34 * len(down), 120))
    result.add_heatmap(
        z=np.where(enough, value, np.nan),
        x=np.arange(len(across)),
        y=np.arange(len(down)),
        colorscale=SHADES,
        colorbar={"title": {"text": what}},
        text=texts,
        texttemplate="%{text}" if written else None,
        hovertemplate="%{text}<extra></extra>",
        textfont={"size": 10},
    )
    result.update_xaxes(
        tickvals=list(range(len(across))), ticktext=[record.bin[b] for b in across], showgrid=False, zeroline=False
    )
    result.update_yaxes(
        tickvals=list(range(len(down))),
        ticktext=[record.bin[b] for b in down],
        autorange="reversed",
        showgrid=False,
        zeroline=False,
    )
    worst = {int(record.worst_first[k]), int(record.worst_second[k])}
    for i in np.flatnonzero(np.isin(down, list(worst))):
        for j in np.flatnonzero(np.isin(across, list(worst))):
            line = {"width": 2.4, "color": COLOURS[0]}
            result.add_shape(type="rect", x0=j - 0.5, x1=j + 0.5, y0=i - 0.5, y1=i + 0.5, line=line)
    return result.update_layout(margin={"l": 170, "b": 110})


def _cell(value: float, n: int, enough: bool) -> str:
    if not n:
        return ""
    return f"{value:.2f}<br>n={n}" if enough else f"({value:.2f})<br>n={n}"


def _worst_cell(record: Cohorts, k: int) -> str:
    if record.worst_first[k] < 0:
        return f"no cell of {record.least}"
    return f"framed: {p_value(record.p_cell[k])} by chance ({p_value(record.p_any[k])} in any two columns)"


def rows(record: Cohorts) -> pd.DataFrame:
    """One node a row: all that it asks, its value with interval and n on people it was not grown on, its split's test."""
    return pd.DataFrame(
        {
            "metric": record.metric,
            "cohort": [record.path(k) for k in range(len(record.node))],
            "leaf": record.leaf,
            "n": record.n,
            "value": record.value,
            "low": record.low,
            "high": record.high,
            "chance alone 95 %": record.chance95,
            "p of its split": record.p_split,
            "p of its split, Holm": record.p_holm,
            "n as grown": record.found_n,
            "value as grown": record.found_value,
        }
    )


def says(record: Cohorts) -> str:
    """The worst cohort, on whom and how sure; or that nothing parts people beyond chance; and the worst two columns."""
    word = share if record.rate else number
    everybody = f"{record.metric} {word(record.value[0], record.low[0], record.high[0])} among {record.n[0]:,} people"
    if len(record.node) == 1:
        tried = f"none of {record.splits} splits found in {record.grown:,} others" if record.splits else "no split"
        text = f"One cohort: {everybody}; {tried} parts them beyond chance"
    else:
        k = record.worst
        worst = f"{word(record.value[k], record.low[k], record.high[k])} where {record.path(k)} (n = {record.n[k]:,})"
        text = (
            f"{int(record.leaf.sum())} cohorts, told by {record.honest:,} people on whom they were not grown; the worst: "
            f"{record.metric} {worst}, against {word(record.value[0])} of all ({p_value(record.p_worst)} for a leaf as bad by chance)"
        )
    pair = record.surest_pair
    if pair < 0 or record.worst_first[pair] < 0:
        return f"{text}."
    a, b = int(record.worst_first[pair]), int(record.worst_second[pair])
    names = [f"{record.columns[record.bin_column[c]]}: {record.bin[c]}" for c in (a, b)]
    cell = f"{word(record.harm[a, b] / record.people[a, b])} in {' & '.join(names)} (n = {record.people[a, b]:,})"
    return f"{text}. Of all cells of two columns {cell} is the least like chance ({p_value(record.p_any[pair])})."
