"""How calibration looks by group: each group's curve, what is stated and happens in it, and its calibration error."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import number, p_value
from labkit.records.calibration import MEASURES, Calibration, CalibrationByGroup
from labkit.views._forest import mark, span
from labkit.views._style import COLOURS, DASHES, NEUTRAL, base, errors, rgba

ACROSS = 3  # features whose curves are drawn


def figure(record: Calibration, found: CalibrationByGroup) -> go.Figure:
    """Above the reliability curves of the groups that are compared, for up to three features, in the 95 % band of a
    calibrated model of everybody's scores; below how much more often it happened than stated, and the calibration error,
    with 95 % intervals. A cross marks what a calibrated model's error exceeds one time in 20 in that group."""
    shown, count = min(ACROSS, len(found.features)), len(found.group)
    above, below = 330, 60 + 26 * count
    result = make_subplots(
        2,
        6,
        specs=[
            [{"colspan": 6 // shown} if i % (6 // shown) == 0 else None for i in range(6)],
            [{"colspan": 3}, None, None, {"colspan": 3}, None, None],
        ],
        row_heights=[above, below],
        vertical_spacing=100 / (above + below),
        horizontal_spacing=0.1,
        subplot_titles=[*found.features[:shown], "happened more often than stated", "calibration error"],
    )
    result.update_layout(base(f"Reliability by group, {record.n} people", height=above + below + 170).layout)
    result.update_layout(margin={"l": 190, "t": 80}, legend={"y": -70 / (above + below)})
    result.update_annotations(font_size=12)
    for f in range(shown):
        _curves(result, record, found, f, 1 + f * (6 // shown))
    names = [f"{g} (n = {n})" for g, n in zip(found.group, found.n)]
    for m, column in ((0, 1), (1, 4)):
        _forest(result, found, m, column)
        ticks = {"tickvals": list(range(count)), "ticktext": names if m == 0 else [""] * count}
        result.update_yaxes(**ticks, range=[count - 0.4, -0.6], row=2, col=column)
    return result


def _curves(result: go.Figure, record: Calibration, found: CalibrationByGroup, f: int, column: int) -> None:
    band = {
        "x": np.concatenate([record.score, record.score[::-1]]),
        "y": np.concatenate([record.band_high, record.band_low[::-1]]),
    }
    result.add_scatter(
        **band, fill="toself", mode="lines", line={"width": 0}, fillcolor=rgba(NEUTRAL, 0.25), hoverinfo="skip",
        name="calibrated, 95 % band", showlegend=f == 0, row=1, col=column,
    )  # fmt: skip
    for i, g in enumerate(np.flatnonzero((found.feature_of == f) & found.ranked)):
        look = {"color": COLOURS[i % len(COLOURS)], "dash": DASHES[i % len(DASHES)], "width": 2}
        result.add_scatter(
            x=found.score[g],
            y=found.frequency[g],
            mode="lines",
            line=look,
            name=f"{found.features[f]}: {found.group[g]}",
            row=1,
            col=column,
        )
    title = {"text": f"stated probability of {record.event}", "font": {"size": 12}}
    result.update_xaxes(title=title, range=[0, 1], row=1, col=column)
    result.update_yaxes(range=[0, 1], row=1, col=column)
    if f == 0:
        result.update_yaxes(title_text="how often it happened", row=1, col=column)


def _forest(result: go.Figure, found: CalibrationByGroup, m: int, column: int) -> None:
    value, low, high = (
        (found.excess, found.excess_low, found.excess_high) if m == 0 else (found.ece, found.ece_low, found.ece_high)
    )
    known = np.flatnonzero(found.n > 0)
    result.add_scatter(
        x=value[known],
        y=known,
        mode="markers",
        error_x=errors(*(np.where(np.isnan(low), value, v)[known] for v in (value, low, high))),
        marker={
            "color": COLOURS[0],
            "size": 9,
            "symbol": ["circle" if r else "circle-open" for r in found.ranked[known]],
        },
        text=[f"{found.group[g]}: {number(value[g], low[g], high[g])}, n = {found.n[g]}" for g in known],
        hoverinfo="text",
        showlegend=False,
        row=2,
        col=column,
    )
    if m == 1:
        crosses = {"color": NEUTRAL, "size": 8, "symbol": "x"}
        name = "a calibrated model exceeds this one time in 20"
        result.add_scatter(x=found.ece95[known], y=known, mode="markers", marker=crosses, name=name, row=2, col=column)
    mark(result, 0.0, len(value), "dash", row=2, col=column)
    result.update_xaxes(range=span(low, high, found.ece95 if m else 0.0, 0.0), row=2, col=column)


def rows(found: CalibrationByGroup) -> pd.DataFrame:
    """One group a row: stated, happened, the excess and the calibration error with their intervals, and its null."""
    return pd.DataFrame(
        {
            "feature": np.array(found.features)[found.feature_of],
            "group": found.group,
            "n": found.n,
            "stated": found.stated,
            "happened": found.happened,
            "excess": found.excess,
            "excess low": found.excess_low,
            "excess high": found.excess_high,
            "calibration error": found.ece,
            "error low": found.ece_low,
            "error high": found.ece_high,
            "error of a calibrated model, 95 % point": found.ece95,
            "p": found.p,
            "p (Holm)": found.p_holm,
            "ranked": found.ranked,
        }
    )


def says(found: CalibrationByGroup) -> str:
    """The difference between groups that is surest, with its null."""
    known = np.argwhere(~np.isnan(found.p_apart_holm))
    if not len(known):
        return f"No two groups of {found.least} people could be compared."
    m, f = min(known.tolist(), key=lambda at: found.p_apart_holm[tuple(at)])
    top, bottom = int(found.highest[m, f]), int(found.lowest[m, f])
    value, low, high = (
        (found.excess, found.excess_low, found.excess_high) if m == 0 else (found.ece, found.ece_low, found.ece_high)
    )
    what = "it happens more often than stated by" if MEASURES[m] == "excess" else "the calibration error is"
    one, other = (f"{number(value[g], low[g], high[g])} in {found.group[g]} (n = {found.n[g]})" for g in (top, bottom))
    size, below, above = (float(a[m, f]) for a in (found.difference, found.difference_low, found.difference_high))
    apart = number(size, below, above)
    beyond = "further" if found.p_apart_holm[m, f] < 0.05 else "no further"
    return (
        f"By {found.features[f]} {what} {one} and {other}, {apart} apart: {beyond} than where one curve from score to "
        f"frequency holds for all groups ({number(float(found.null95[m, f]))} one time in 20; "
        f"{p_value(float(found.p_apart_holm[m, f]))}, Holm over {len(known)})."
    )
