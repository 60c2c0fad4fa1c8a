"""How leaks look: a line for each kind with what a clean split shows, and the copies as pictures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import number
from labkit.records.leakage import COPIES, NEAR, SHARES, Leakage
from labkit.views._forest import mark
from labkit.views._gallery import gallery, short
from labkit.views._style import COLOURS, MARKERS, NEUTRAL, base, errors, rgba


def figure(record: Leakage) -> go.Figure:
    """Left the shares of rows that show a leak, right the areas with which one column tells what it should not, each with
    its 95 % interval; diamonds are what a clean split shows. What was not measured is named without a mark."""
    shares = np.array([kind in SHARES for kind in record.leak])
    count = max(int(shares.sum()), int((~shares).sum()))
    titles = ["share of rows", "area under the ROC curve"]
    result = make_subplots(1, 2, subplot_titles=titles, horizontal_spacing=0.32)
    heading = f"Leaks between {record.n_train:,} training and {record.n_test:,} test rows, 95 % intervals"
    result.update_layout(base(heading, height=170 + 38 * count).layout)
    result.update_layout(margin={"l": 190, "t": 84}, legend={"y": -0.25})
    result.update_xaxes(gridcolor=rgba(NEUTRAL, 0.25), zeroline=False)
    result.update_yaxes(gridcolor=rgba(NEUTRAL, 0.25), zeroline=False)
    for col, at in enumerate((np.flatnonzero(shares), np.flatnonzero(~shares)), start=1):
        _panel(result, record, at, col)
    top = max(0.02, 1.1 * float(np.nanmax([0.0, *record.high[shares]])))
    result.update_xaxes(range=[-0.02 * top, top], tickformat=".1%" if top < 0.2 else ".0%", col=1)
    result.update_xaxes(range=[0.38, 1.02], col=2)
    return result


def _panel(result: go.Figure, record: Leakage, at: np.ndarray, col: int) -> None:
    names = [_name(record, i) for i in at]
    result.update_yaxes(tickvals=list(range(len(at))), ticktext=names, range=[len(at) - 0.4, -0.6], col=col)
    if col == 2:
        mark(result, 0.5, len(at), "dot", row=1, col=2)
    known = np.flatnonzero(~np.isnan(record.value[at]))
    value, low, high = (v[at][known] for v in (record.value, record.low, record.high))
    result.add_scatter(
        x=value,
        y=known,
        mode="markers",
        name="these data",
        showlegend=col == 1,
        error_x=errors(value, low, high),
        marker={"size": 9, "color": COLOURS[0], "symbol": MARKERS[0]},
        text=[number(*ends) for ends in zip(value, low, high)],
        hoverinfo="text",
        row=1,
        col=col,
    )
    clean = np.flatnonzero(~np.isnan(record.usual[at]))
    marker = {"size": 8, "color": NEUTRAL, "symbol": "diamond-open"}
    result.add_scatter(
        x=record.usual[at][clean],
        y=clean,
        mode="markers",
        name="a clean split",
        showlegend=col == 1,
        marker=marker,
        row=1,
        col=col,
    )


def _name(record: Leakage, i: int) -> str:
    what = record.subject[i] if record.subject[i] != "inputs" else ""
    if record.missing[i]:
        what = "not measured"
    return f"{record.leak[i]}<br>{short(_plain(what), 28)}" if what else record.leak[i]


def _plain(text: str) -> str:
    """A name from the data without what a figure would take for markup."""
    return text.replace("<", "‹").replace(">", "›")


def examples(record: Leakage) -> go.Figure:
    """Pairs of copies as pictures, the training row left; where they were kept (``show=``)."""
    if record.pictures is None:
        return base("No pair of copies was kept; show= keeps some", height=120)
    tiles = []
    for pair, label, apart in zip(record.pictures, record.pair_label, record.pair_distance):
        names = [record.classes[k] for k in label]
        tiles += [(f"train: {names[0]}", pair[0]), (f"test: {names[1]}, at {apart:.2g}", pair[1])]
    return gallery(f"Copies ({record.about})", [tiles[i : i + 4] for i in range(0, len(tiles), 4)], across=4)


def rows(record: Leakage) -> pd.DataFrame:
    """One kind and subject a row, and what was not measured with its reason."""
    return pd.DataFrame(
        {
            "leak": record.leak,
            "subject": record.subject,
            "measure": ["share of rows" if kind in SHARES else "AUC" for kind in record.leak],
            "hits": record.hits,
            "n": record.of,
            "value": record.value,
            "low": record.low,
            "high": record.high,
            "a clean split": record.usual,
            "p": record.p,
            "note": record.note,
            "not measured because": record.missing,
        }
    )


def says(record: Leakage) -> str:
    """Copies and near copies with intervals, what they are worth, and the strongest single column."""
    parts = []
    for i, kind in enumerate(record.leak):
        if kind in (COPIES, NEAR) and not record.missing[i]:
            ends = f"{record.value[i]:.2%}, interval {record.low[i]:.2%} to {record.high[i]:.2%}"
            clean = f"; a clean split would show {record.usual[i]:.2%}"
            parts.append(f"{record.hits[i]} of {record.of[i]:,} test rows are {kind} of training rows ({ends}{clean})")
    areas = [i for i, kind in enumerate(record.leak) if kind not in SHARES and not np.isnan(record.value[i])]
    told = "; ".join(parts) + "."
    if areas:
        best = max(areas, key=lambda i: record.value[i])
        ends = number(record.value[best], record.low[best], record.high[best])
        told += f" Of single columns {record.leak[best]} is the strongest{_of(record, best)}: AUC {ends}."
    if not np.isnan(record.cost[0]):
        told += f" Accuracy is {number(*record.accuracy[0])} on all test rows and {number(*record.accuracy[1])} without them."
    unmeasured = [kind for kind, why in zip(record.leak, record.missing) if why]
    return told + (f" Not measured: {', '.join(unmeasured)}." if unmeasured else "")


def _of(record: Leakage, i: int) -> str:
    return f" ({record.subject[i]})" if record.subject[i] else ""
