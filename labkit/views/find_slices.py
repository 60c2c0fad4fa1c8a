"""How slices look: a forest, each slice as it was found and as people who were not searched confirm it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.words import number, p_value, share
from labkit.records.find_slices import Slices
from labkit.views._forest import band, mark, span
from labkit.views._style import COLOURS, NEUTRAL, base, errors

WIDTH = 46


def figure(record: Slices) -> go.Figure:
    """Hollow: the half that was searched. Filled: the other half, with 95 % intervals; grey where not confirmed.

    The dashed line is everybody of the other half; the band behind a slice ends where the worst of so many would by chance
    one time in 20.
    """
    order = _order(record)
    labels = [_folded(f"{record.slice[i]} (n = {record.n[i]:,})") for i in order]
    count = len(order)
    lines = max((1 + label.count("<br>") for label in labels), default=1)
    drawn = max(1, count) * (14 + 16 * lines)
    what = record.metric if record.rate else f"mean {record.metric}"
    heading = f"slices by {what}: found in {record.searched:,} people, confirmed on {record.confirming:,} others"
    result = base(heading, what, height=drawn + 150)
    result.update_layout(
        margin={"l": 330, "t": 60, "b": 90}, legend={"orientation": "h", "y": -60 / drawn, "yanchor": "top"}
    )
    result.update_yaxes(tickvals=list(range(count)), ticktext=labels, range=[count - 0.4, -0.6], zeroline=False)
    if not count:
        none = "no slice stood out in the half that was searched"
        result.add_annotation(text=none, x=record.overall, y=0, showarrow=False)
        result.update_yaxes(range=[0.6, -0.6])
    at = np.arange(count)
    for i, row in zip(at, order):
        band(result, (record.overall, record.chance95[row]), (i, i))
    mark(result, record.overall, count, "dash")
    sure = record.confirmed[order]
    _points(result, record, order[sure], at[sure], "confirmed, on people not searched", COLOURS[1])
    _points(result, record, order[~sure], at[~sure], "not confirmed", NEUTRAL)
    result.add_scatter(
        x=record.found_value[order],
        y=at,
        mode="markers",
        name="as found",
        marker={"size": 9, "color": COLOURS[0], "symbol": "circle-open"},
    )
    ends = span(record.found_value, record.low, record.high, record.chance95, record.overall)
    return result.update_xaxes(range=ends)


def _points(result: go.Figure, record: Slices, rows: np.ndarray, at: np.ndarray, name: str, colour: str) -> None:
    if not len(rows):
        return
    value, low, high = record.value[rows], record.low[rows], record.high[rows]
    result.add_scatter(
        x=value,
        y=at,
        mode="markers",
        name=name,
        error_x=errors(value, low, high),
        marker={"size": 9, "color": colour},
        text=[
            f"{number(v, a, b)}, n = {record.n[i]}, {p_value(record.p_holm[i])}"
            for v, a, b, i in zip(value, low, high, rows)
        ],
        hoverinfo="text",
    )


def _order(record: Slices) -> np.ndarray:
    """The confirmed first, the surest to be far from the rest on top."""
    return np.lexsort((-record.difference_low, ~record.confirmed))


def _folded(text: str) -> str:
    """A long label in lines, broken between conditions."""
    lines = [""]
    for part in text.split(" & "):
        joined = f"{lines[-1]} & {part}" if lines[-1] else part
        if len(joined) > WIDTH and lines[-1]:
            lines[-1] += " &"
            lines.append(part)
        else:
            lines[-1] = joined
    return "<br>".join(lines)


def rows(record: Slices) -> pd.DataFrame:
    """One slice a row, the confirmed first: as found, as confirmed, beside the rest, and what would have been missed."""
    order = _order(record)
    names = {
        "conditions": "level", "n": "n", "value": "value", "low": "low", "high": "high", "value of the rest": "rest",
        "difference": "difference", "difference low": "difference_low", "difference high": "difference_high",
        "p": "p", "p, Benjamini-Hochberg": "p_bh", "p, Holm": "p_holm", "confirmed": "confirmed",
        "chance alone 95 %": "chance95", "detectable difference": "detectable", "n as found": "found_n",
        "value as found": "found_value",
    }  # fmt: skip
    columns = {name: np.asarray(getattr(record, field))[order] for name, field in names.items()}
    return pd.DataFrame({"metric": record.metric, "slice": [record.slice[i] for i in order], **columns})


def says(record: Slices) -> str:
    """The worst slice that others confirm, on whom and how sure; or that none was; and what may have been missed."""
    word = share if record.rate else number
    told, sure = len(record.slice), int(record.confirmed.sum())
    looked = f"Of {record.candidates:,} slices looked at in {record.searched:,} people"
    missed = _missed(record)
    if not told:
        return f"{looked}, none stood out from the rest in {record.metric}{missed}."
    i = record.worst
    apart, low, high = (float(v[i]) for v in (record.difference, record.difference_low, record.difference_high))
    size = number(apart, low, high) if apart >= 0 else number(-apart, -high, -low)
    worst = (
        f"{record.metric} {word(record.value[i], record.low[i], record.high[i])} where {record.slice[i]} (n = {record.n[i]:,}), "
        f"{word(record.rest[i])} elsewhere, {size} "
        f"{'more' if apart >= 0 else 'less'} ({p_value(record.p_holm[i])}, Holm over {told})"
    )
    carried = f"{looked}, {told} stood out and {sure or 'none'} of them {'were' if sure > 1 else 'was'} confirmed on {record.confirming:,} others"
    return f"{carried}; the {'worst' if sure else 'nearest to it'}: {worst}{missed}."


def _missed(record: Slices) -> str:
    known = np.flatnonzero(~np.isnan(record.missed))
    if not len(known):
        return ""
    at = known[min(1, len(known) - 1)]
    return (
        f"; a slice of {record.sizes[at]} people would be found four times in five if it were {number(record.missed[at])} "
        "worse than the rest"
    )
