"""How a flip test looks: whose answers change and which way, beside other exchanges in the same inputs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import counted, number, p_value, share
from labkit.records.flip_test import FlipTest
from labkit.views._forest import band, mark, span
from labkit.views._style import COLOURS, NEUTRAL, base, errors, rgba

SHOWN, BESIDE = 12, 6  # directions and controls with a row of their own
CUT = 26  # letters of a group's name


def figure(record: FlipTest) -> go.Figure:
    """Left the share of answers that change, promoted and demoted, with its interval, and below what other exchanges change;
    right the mean change of the probability, on the band that pairs of neutral words stay in."""
    shown = np.argsort(-np.abs(record.shift), kind="stable")[:SHOWN]
    beside = np.argsort(-record.control_share, kind="stable")[:BESIDE]
    names = [_direction(record, d) for d in shown]
    names += [f"for comparison: {_short(record.control[c])} (n = {record.control_rows[c]:,})" for c in beside]
    count, k = len(names), len(shown)
    result = make_subplots(
        1, 2, shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=["answers that change", "mean change"]
    )
    title = f"{record.attribute} exchanged in {record.n:,} {record.inputs}, nothing else"
    result.update_layout(base(title, height=190 + 30 * count).layout, barmode="stack", margin={"l": 250, "r": 20})
    result.update_layout(legend={"y": -80 / (90 + 30 * count)})
    result.update_yaxes(
        tickvals=list(range(count)), ticktext=names, range=[count - 0.4, -0.6], zeroline=False, showgrid=False
    )
    for name, hits, colour in (("promoted", record.promoted, COLOURS[0]), ("demoted", record.demoted, COLOURS[1])):
        result.add_bar(
            x=hits[shown] / record.rows[shown],
            y=np.arange(k),
            orientation="h",
            name=f"{name} {'to' if name == 'promoted' else 'from'} {_short(record.positive)}",
            marker_color=colour,
            row=1,
            col=1,
        )
    if len(beside):
        result.add_bar(
            x=record.control_share[beside],
            y=k + np.arange(len(beside)),
            orientation="h",
            name="something else exchanged",
            marker_color=rgba(NEUTRAL, 0.6),
            row=1,
            col=1,
        )
    value, low, high = (
        np.concatenate([own[shown], other[beside]])
        for own, other in (
            (record.share, record.control_share),
            (record.share_low, record.control_low),
            (record.share_high, record.control_high),
        )
    )
    _points(result, value, (low, high), 1)
    result.update_xaxes(title_text="share of answers, 95 % interval", range=[0, span(high, 0.0)[1]], row=1, col=1)
    _shifts(result, record, shown, count)
    return result


def _shifts(result: go.Figure, record: FlipTest, shown: np.ndarray, count: int) -> None:
    chance = record.shift_null95[shown]
    for place in np.flatnonzero(np.isfinite(chance)):
        band(result, (-chance[place], chance[place]), (place, place), row=1, col=2)
    value, low, high = (v[shown] for v in (record.shift, record.shift_low, record.shift_high))
    _points(result, value, (low, high), 2)
    mark(result, 0.0, count, "dot", row=1, col=2)
    result.update_xaxes(
        title_text=f"probability of {_short(record.positive)}",
        range=span(low, high, value, 0.0, chance, -chance),
        row=1,
        col=2,
    )


def _points(result: go.Figure, value: np.ndarray, ends: tuple[np.ndarray, np.ndarray], col: int) -> None:
    low, high = (np.where(np.isfinite(end), end, value) for end in ends)
    result.add_scatter(
        x=value,
        y=np.arange(len(value)),
        mode="markers",
        error_x={**errors(value, low, high), "color": NEUTRAL},
        marker={"size": 6, "color": NEUTRAL if col == 1 else COLOURS[0]},
        text=[number(v, a, b, digits=3) for v, a, b in zip(value, low, high)],
        hoverinfo="text",
        showlegend=False,
        row=1,
        col=col,
    )


def _short(name: str) -> str:
    return name if len(name) <= CUT else f"{name[: CUT - 1]}…"


def _direction(record: FlipTest, d: int) -> str:
    return f"{_short(record.source[d])} → {_short(record.target[d])} (n = {record.rows[d]:,})"


def rows(record: FlipTest) -> pd.DataFrame:
    """One direction or control a row: inputs, answers that change, promoted, demoted, mean change, tests."""
    directions = pd.DataFrame(
        {
            "from": record.source,
            "to": record.target,
            "n": record.rows,
            "answers changed": record.changed,
            "promoted": record.promoted,
            "demoted": record.demoted,
            "share": record.share,
            "low": record.share_low,
            "high": record.share_high,
            "mean change": record.shift,
            "change low": record.shift_low,
            "change high": record.shift_high,
            "neutral words, 95 %": record.shift_null95,
            "p (neutral words, Holm)": record.shift_holm,
            "p (McNemar, Holm)": record.p_holm,
            "hardly occurs": record.odd,
        }
    )
    controls = pd.DataFrame(
        {
            "from": [f"for comparison: {c}" for c in record.control],
            "to": "another",
            "n": record.control_rows,
            "share": record.control_share,
            "low": record.control_low,
            "high": record.control_high,
        }
    )
    return pd.concat([directions, controls], ignore_index=True) if len(record.control) else directions


def changes(record: FlipTest) -> pd.DataFrame:
    """The inputs whose probability moved furthest, with what was exchanged, in words."""
    kept = ("row", "source", "target", "before", "after", "answer_before", "answer_after", "words")
    names = ("row", "from", "to", "before", "after", "answer before", "answer after", "what was exchanged")
    return pd.DataFrame([[getattr(c, k) for k in kept] for c in record.furthest], columns=names)


def says(record: FlipTest) -> str:
    """How many answers change, in which direction most, and how that compares with other exchanges."""
    if not record.read:
        high = f"at most {100 * record.moved_high:.2g} of 100"
        return (
            f"No answer and no probability changes when {record.attribute} is exchanged in {record.n:,} {record.inputs} "
            f"({high}): the model does not read it, which says nothing of what stands in for it."
        )
    moved = share(record.moved, record.moved_low, record.moved_high)
    d = record.widest
    way = "up" if record.shift[d] > 0 else "down"
    shift = (record.shift[d], record.shift_low[d], record.shift_high[d])
    size = number(*shift, digits=3) if way == "up" else number(-shift[0], -shift[2], -shift[1], digits=3)
    parts = [
        f"{record.attribute} exchanged and nothing else, the answer changes for {moved} of {record.n:,} {record.inputs}",
        f"most from {record.source[d]} to {record.target[d]} (n = {record.rows[d]:,}), where the probability of "
        f"{record.positive} goes {way} by {size} on average, {record.promoted[d]} answers are promoted and "
        f"{record.demoted[d]} demoted",
    ]
    if np.isfinite(record.shift_holm[d]):
        beyond = record.shift_holm[d] < 0.05
        parts[1] += (
            f", {'more' if beyond else 'no more'} than pairs of neutral words would "
            f"({'beyond' if beyond else 'within'} {record.shift_null95[d]:.3f}, {p_value(record.shift_holm[d])}, Holm)"
        )
    if np.isfinite(record.excess):
        ends = record.excess, record.excess_low, record.excess_high
        less = ends if record.excess > 0 else (-ends[0], -ends[2], -ends[1])
        parts.append(
            f"other exchanges in the same inputs change {number(*less, digits=3)} {'less' if record.excess > 0 else 'more'} of all"
        )
    odd = int(record.odd.sum())
    if odd:
        parts.append(f"{counted(odd, int(record.rows.sum()))} exchanges make {record.inputs} that hardly occur")
    return "; ".join(parts) + "."
