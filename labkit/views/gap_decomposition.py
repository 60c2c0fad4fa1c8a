"""How a decomposed gap looks: step by step from no gap to the whole of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.words import number, p_value
from labkit.records.gap_decomposition import GapDecomposition
from labkit.views._forest import mark, span
from labkit.views._style import COLOURS, NEUTRAL, base, errors, rgba

SHOWN = 12  # features with a row of their own
PLAIN = {"score": "mean probability of {}", "selection_rate": "share answered {}", "log_odds": "mean log-odds of {}"}


def figure(record: GapDecomposition) -> go.Figure:
    """One step a feature, the largest first, from no gap to the gap; the error bar is the step's own interval, the grey
    bar what the step stays within in 95 of 100 random groups. Steps that are no more than chance are pale."""
    order = record.order
    shown, rest = order[:SHOWN], order[SHOWN:]
    steps = np.append(record.contribution[shown], record.contribution[rest].sum())[: len(shown) + bool(len(rest))]
    ends = np.cumsum(steps)
    starts = ends - steps
    names = [_named(record, f) for f in shown] + ([f"{len(rest)} more together"] if len(rest) else []) + ["the gap"]
    count = len(names)
    what = PLAIN[record.of].format(record.positive)
    (first, second), (m, n) = record.groups, record.n
    title = f"{what}: {first} (n = {m:,}) minus {second} (n = {n:,})"
    result = base(title, f"difference in the {what}", height=150 + 30 * count)
    result.update_layout(showlegend=False, margin={"l": 190, "r": 30}, barmode="overlay")
    result.update_yaxes(
        tickvals=list(range(count)), ticktext=names, range=[count - 0.4, -0.6], showgrid=False, zeroline=False
    )
    k = len(shown)
    null = record.null95[shown]
    _bar(result, np.arange(k), 2 * null, starts[:k] - null, [rgba(NEUTRAL, 0.3)] * k, 0.8)
    colours = [rgba(COLOURS[0] if s > 0 else COLOURS[1], 0.9 if record.sure[f] else 0.35) for f, s in zip(shown, steps)]
    _bar(result, np.arange(len(steps)), steps, starts, colours + [rgba(NEUTRAL, 0.6)] * bool(len(rest)), 0.45)
    _bar(result, np.array([count - 1]), np.array([record.gap]), np.zeros(1), [rgba(NEUTRAL, 0.9)], 0.6)
    low, high = (
        np.append(starts[:k] + end[shown], g)
        for end, g in ((record.low, record.gap_low), (record.high, record.gap_high))
    )
    at, middle = np.append(np.arange(k), count - 1), np.append(ends[:k], record.gap)
    result.add_scatter(
        x=middle,
        y=at,
        mode="markers",
        error_x={**errors(middle, low, high), "color": NEUTRAL},
        marker={"size": 5, "color": NEUTRAL},
        text=[_text(record, f) for f in shown] + [number(record.gap, record.gap_low, record.gap_high, digits=3)],
        hoverinfo="text",
    )
    mark(result, 0.0, count, "dot")
    drawn = span(low, high, starts, ends, 0.0, starts[:k] - null, starts[:k] + null)
    return result.update_xaxes(range=drawn)


def _named(record: GapDecomposition, f: int) -> str:
    columns = record.columns[f]
    return (
        record.features[f] + (f" ({columns} columns)" if columns > 1 else "") + (" (itself)" if record.own[f] else "")
    )


def _text(record: GapDecomposition, f: int) -> str:
    share = number(record.contribution[f], record.low[f], record.high[f], digits=3)
    return f"{record.features[f]}: {share}, chance alone up to {record.null95[f]:.3f}, {p_value(record.p[f])}"


def _bar(
    result: go.Figure, at: np.ndarray, size: np.ndarray, start: np.ndarray, colour: list[str], width: float
) -> None:
    result.add_bar(
        x=size, y=at, base=start, orientation="h", width=np.full(len(at), width), marker_color=colour, hoverinfo="skip"
    )


def rows(record: GapDecomposition) -> pd.DataFrame:
    """One feature a row, the largest share first: share, interval, what chance alone gives."""
    order = record.order
    return pd.DataFrame(
        {
            "feature": np.array(record.features, object)[order],
            "columns": record.columns[order],
            "share of the gap": record.contribution[order],
            "low": record.low[order],
            "high": record.high[order],
            "chance alone, 95 %": record.null95[order],
            "p": record.p[order],
            "the attribute itself": record.own[order] == 1,
            "gap": record.gap,
            "of": record.of,
            "between": " minus ".join(record.groups),
        }
    )


def says(record: GapDecomposition) -> str:
    """How large the gap is, which features make it beyond chance, and what the attribute's own column does."""
    (first, second), (m, n) = record.groups, record.n
    gap = number(record.gap, record.gap_low, record.gap_high, digits=3)
    what = PLAIN[record.of].format(record.positive)
    begin = (
        f"The {what} is {gap} {'higher' if record.gap >= 0 else 'lower'} for {first} (n = {m:,}) than for {second} "
        f"(n = {n:,})"
    )
    if record.gap < 0:
        begin = begin.replace(gap, number(-record.gap, -record.gap_high, -record.gap_low, digits=3))
    sure = [f for f in record.order if record.sure[f]]
    if not sure:
        return f"{begin}, {p_value(record.gap_p)}; no column makes more of it than random groups would show."
    named = [
        f"{record.features[f]} {number(record.contribution[f], record.low[f], record.high[f], digits=3)}"
        for f in sure[:4]
    ]
    more = f" and {len(sure) - 4} more columns" if len(sure) > 4 else ""
    against = " Shares of the other sign narrow it." if len({record.contribution[f] > 0 for f in sure}) > 1 else ""
    own = [f for f in np.flatnonzero(record.own) if record.contribution[f]]
    itself = "" if own else f" No column bears the name {record.attribute}."
    return f"{begin}; of it {', '.join(named)}{more} are more than random groups would show.{against}{itself}"
