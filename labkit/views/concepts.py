"""How concepts look: the share of inputs whose score rises along each, and how steeply, beside random sets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import counted, number, p_value
from labkit.records.concepts import Concepts
from labkit.views._forest import mark, span
from labkit.views._style import COLOURS, MARKERS, NEUTRAL, base, errors


def figure(record: Concepts) -> go.Figure:
    """A concept at a layer a line. Left TCAV with its 95 % interval; right the mean slope over the middle 95 % of random
    sets (grey). Diamonds are significant after correction; where a layer does not encode a concept nothing is drawn."""
    table = rows(record)
    count = len(table)
    result = make_subplots(
        1,
        2,
        shared_yaxes=True,
        horizontal_spacing=0.05,
        subplot_titles=["inputs whose score rises", "slope of the score (grey: random sets)"],
    )
    title = f"Concepts for the class {record.classes[record.target]}, {record.n} inputs, {record.random} random sets"
    result.update_layout(base(title, height=190 + 34 * count).layout, margin={"l": 220}, legend={"y": -0.3})
    result.update_yaxes(tickvals=list(range(count)), ticktext=_names(record, table), range=[count - 0.4, -0.6])
    mark(result, 0.5, count, "dot", row=1, col=1)
    mark(result, 0.0, count, "dot", row=1, col=2)
    place = np.arange(count)
    ends = (table["random low"].to_numpy(), table["random high"].to_numpy())
    middle = np.mean(ends, 0)
    band = {"mode": "markers", "showlegend": False, "marker": {"size": 1, "color": NEUTRAL}}
    result.add_scatter(x=middle, y=place, error_x={**errors(middle, *ends), "thickness": 9}, **band, row=1, col=2)
    kinds = {"not significant": ~table["significant"], "significant": table["significant"]}
    for look, (name, which) in enumerate(kinds.items()):
        at = np.flatnonzero(which & table["encoded"])
        marker = {"size": 10, "color": COLOURS[look], "symbol": MARKERS[2 * look]}
        style = {"y": at, "mode": "markers", "marker": marker, "name": name}
        value, low, high = (table[c].to_numpy()[at] for c in ("share", "share low", "share high"))
        result.add_scatter(x=value, error_x=errors(value, low, high), showlegend=False, **style, row=1, col=1)
        slopes = table["slope"].to_numpy()[at]
        result.add_scatter(x=slopes, showlegend=bool(len(at)), **style, row=1, col=2)
    result.update_xaxes(range=[-0.05, 1.05], row=1, col=1)
    result.update_xaxes(range=span(table["slope"], *ends, 0.0), row=1, col=2)
    return result


def _names(record: Concepts, table: pd.DataFrame) -> list[str]:
    told = ["" if known else " (not encoded)" for known in table["encoded"]]
    return [f"{c} · {layer}{note}" for c, layer, note in zip(table["concept"], table["layer"], told)]


def rows(record: Concepts) -> pd.DataFrame:
    """One concept at one layer a row."""
    c, at = np.indices(record.share.shape).reshape(2, -1)
    low, high = np.quantile(record.null_slope, [0.025, 0.975], axis=1)
    return pd.DataFrame(
        {
            "concept": np.array(record.concepts)[c],
            "layer": np.array(record.layers)[at],
            "encoded": record.encoded.ravel(),
            "accuracy": record.accuracy.ravel(),
            "accuracy low": record.accuracy_low.ravel(),
            "accuracy high": record.accuracy_high.ravel(),
            "share": record.share.ravel(),
            "share low": record.share_low.ravel(),
            "share high": record.share_high.ravel(),
            "share of random sets": record.null_share.mean(1)[at],
            "slope": record.slope.ravel(),
            "random low": low[at],
            "random high": high[at],
            "p": record.p.ravel(),
            "p corrected": record.adjusted.ravel(),
            "significant": record.significant.ravel(),
        }
    )


def says(record: Concepts) -> str:
    """The concept that the score follows most surely, and how many of the rest it follows."""
    tests = record.share.size
    sure = np.where(record.encoded, record.adjusted, np.inf)
    best = np.unravel_index(int(sure.argmin()), sure.shape)
    name, layer = record.concepts[best[0]], record.layers[best[1]]
    ends = float(record.share_low[best]), float(record.share_high[best])
    tcav = counted(round(float(record.share[best]) * record.n), record.n, *ends, "inputs")
    way = "rises" if record.slope[best] > 0 else "falls"
    start = (
        f"Along {name!r} at {layer} the score of {record.classes[record.target]!r} {way} on average, and rises for {tcav}; "
        f"held-out accuracy of the direction {number(*_accuracy(record, best))}"
    )
    held = f"{p_value(float(record.adjusted[best]))} against {record.random} random sets, corrected for {tests} tests"
    found = int(record.significant.sum())
    missing = int((~record.encoded).sum())
    lost = f"; {missing} of {tests} not measured because the layer does not encode the concept" if missing else ""
    alike = (
        "; there all inputs have one gradient, so the share can only be 0 or 1" if record.same_slope[best[1]] else ""
    )
    verdict = f"{found} of {tests} are significant" if found else "no concept is told from random sets"
    return f"{start} ({held}){alike}. In all, {verdict}{lost}."


def _accuracy(record: Concepts, at: tuple[np.intp, ...]) -> tuple[float, float, float]:
    low, high = record.accuracy_low[at], record.accuracy_high[at]
    return float(record.accuracy[at]), float(low), float(high)
