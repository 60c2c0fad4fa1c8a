"""How gradient flow looks: norms by layer from the first to the last, and by step in time, on logarithmic axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import number
from labkit.records.gradient_flow import GradientFlow, Triple
from labkit.views._gallery import short
from labkit.views._style import COLOURS, DASHES, MARKERS, NEUTRAL, base, errors, rgba

ROW, TIME = 26, 240


def figure(record: GradientFlow) -> go.Figure:
    """Each layer's norms over examples, median and the middle 50 and 90 of 100, at its output and of its weights, with
    the median of fresh weights; below, where inputs have time, the same by steps before an example's last."""
    time = len(record.lags) > 1
    titles = ["at a layer's output", "of a layer's weights", *(["at a step of the input"] if time else [])]
    deep = 150 + ROW * len(record.layers)
    place: dict[str, Any] = {"rows": 1, "cols": 2}
    if time:
        shares = [deep / (deep + TIME), TIME / (deep + TIME)]
        place |= {"rows": 2, "specs": [[{}, {}], [{"colspan": 2}, None]], "row_heights": shares}
        place["vertical_spacing"] = 90 / (deep + TIME)
    result = make_subplots(**place, subplot_titles=titles, horizontal_spacing=0.04)
    of = "fresh weights of " if record.fresh else ""
    name = f"{of}{record.provenance.model['name']}"
    height = deep + (TIME + 90 if time else 0)
    result.update_layout(base(f"Gradient norms, {name} ({record.n - record.settled} examples)", height=height).layout)
    result.update_annotations(font_size=12)
    _layers(result, record, record.activation, 1)
    _layers(result, record, record.weight, 2)
    if len(record.control):
        look = {"color": NEUTRAL, "symbol": MARKERS[2], "size": 7}
        y = list(range(len(record.control)))
        result.add_scatter(x=_positive(record.control), y=y, mode="markers", marker=look, name="fresh weights, median",
                           row=1, col=1)  # fmt: skip
    names = [short(f"{name or 'the model'} ({kind})", 34) for name, kind in zip(record.layers, record.kinds)]
    for col in (1, 2):
        result.update_yaxes(
            tickvals=list(range(len(names))), ticktext=names if col == 1 else [""] * len(names),
            range=[len(names) - 0.4, -0.6], row=1, col=col,
        )  # fmt: skip
        result.update_xaxes(title_text="norm (nats a unit)", type="log", dtick=1, row=1, col=col)
    if time:
        _time(result, record)
    result.update_xaxes(gridcolor=rgba(NEUTRAL, 0.25), zeroline=False)
    result.update_yaxes(gridcolor=rgba(NEUTRAL, 0.25), zeroline=False)
    result.update_layout(margin={"l": 225, "t": 78}, legend={"y": -70 / height, "x": 0})
    return result


def _layers(result: go.Figure, record: GradientFlow, values: np.ndarray, col: int) -> None:
    y = np.arange(len(values))
    middle = values[:, 2]
    for ends, wide, name in (((0, 4), 1.2, ""), ((1, 3), 5, "median; middle 50 and 90 of 100 examples")):
        low, high = values[:, ends[0]], values[:, ends[1]]
        bars = errors(middle, low, high) | {"thickness": wide, "width": 0, "color": rgba(COLOURS[0], 0.75)}
        trace = go.Scatter(x=_positive(middle), y=y, mode="markers", error_x=bars, name=name)
        trace.update(marker={"color": COLOURS[0], "size": 8}, showlegend=bool(name) and col == 1)
        result.add_trace(trace, row=1, col=col)


def _time(result: go.Figure, record: GradientFlow) -> None:
    x, values = record.lags, _positive(record.time)
    band = go.Scatter(x=[*x, *x[::-1]], y=[*values[:, 3], *values[::-1, 1]], fill="toself", mode="lines")
    band.update(line={"width": 0}, fillcolor=rgba(COLOURS[0], 0.2), showlegend=False, hoverinfo="skip")
    result.add_trace(band, row=2, col=1)
    look = {"color": COLOURS[0]}
    result.add_scatter(x=x, y=values[:, 2], mode="lines", line=look, showlegend=False, row=2, col=1)
    if len(record.control_time):
        look = {"color": NEUTRAL, "dash": DASHES[1]}
        y = _positive(record.control_time)
        result.add_scatter(x=x, y=y, mode="lines", line=look, showlegend=False, row=2, col=1)
    unit = "steps" if record.bin == 1 else "entries"
    result.update_xaxes(
        title_text=f"{unit} before the last (dashed: fresh weights)", autorange="reversed", row=2, col=1
    )
    result.update_yaxes(title_text="norm", type="log", dtick=1, row=2, col=1)


def _positive(values: np.ndarray) -> np.ndarray:
    """What a logarithmic axis can show; 0 is left out."""
    return np.where(values > 0, values, np.nan)


def rows(record: GradientFlow) -> pd.DataFrame:
    """One layer or step a row: quantiles of its norm over examples, zeros and dead units."""
    names = [f"{100 * q:g} %" for q in record.quantiles]
    tables = []
    for where, values in (("output", record.activation), ("weights", record.weight)):
        table = pd.DataFrame({"where": where, "name": record.layers, "kind": record.kinds})
        table["n"] = record.n - record.settled if where == "output" else record.weighed
        table[names] = values
        if where == "output":
            table["share of zeros"], table["units"], table["dead"] = record.zero, record.units, record.dead
        tables.append(table)
    steps = pd.DataFrame(
        {"where": "step", "name": [f"{lag} before the last" for lag in record.lags], "n": record.counted}
    )
    steps[names] = record.time
    return pd.concat([*tables, *([steps] if len(steps) else [])], ignore_index=True)


def says(record: GradientFlow) -> str:
    """How much of the gradient reaches the first layer and the earliest step, and units that get none."""
    n, count = record.n - record.settled, len(record.layers)
    own = "With fresh weights" if record.fresh else "With the trained weights"
    start = (
        f"{own} of {record.provenance.model['name']} the gradient at the first of {count} layers is {_wide(record.reach)} "
        f"times that at the last (median of {n} examples), {number(record.per_layer[0], digits=2)} a layer"
    )
    start += "" if np.isnan(record.control_reach[0]) else f"; with fresh weights {_wide(record.control_reach)}"
    if not np.isnan(record.time_reach[0]):
        start += f"; at the first step of an input {_wide(record.time_reach)} times that at the last"
        fresh = record.control_time_reach
        start += "" if np.isnan(fresh[0]) else f", with fresh weights {_wide(fresh)}"
    return f"{start}. {int(record.dead.sum())} of {int(record.units.sum())} units get no gradient from any example."


def _wide(triple: Triple) -> str:
    """A value of any size, with its interval."""
    value, low, high = triple
    return f"{value:.2g} ({low:.2g} to {high:.2g})"
