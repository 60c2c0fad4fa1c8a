"""How calibration looks by class: how much more often each happened than stated, and its calibration error."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import number, p_value
from labkit.records.calibration import CLASS_MEASURES, Calibration, CalibrationByClass
from labkit.views._forest import mark, span
from labkit.views._style import COLOURS, MARKERS, NEUTRAL, base, errors

MOST = 30  # classes that are drawn: those that are surest to be off


def figure(record: Calibration, found: CalibrationByClass) -> go.Figure:
    """For every class, of its probability against the rest and among its answers: how much more often it happened than
    stated, with 95 % intervals, and the calibration error beside a cross that a calibrated model exceeds one time in 20.
    Of more than 30 classes those that are furthest from their crosses."""
    away = np.nanmax(np.where(found.n > 0, found.ece - found.ece95, -np.inf), axis=0)
    shown = np.sort(np.argsort(-away, kind="stable")[:MOST])
    titles = ["happened more often than stated", "calibration error"]
    result = make_subplots(1, 2, horizontal_spacing=0.08, subplot_titles=titles)
    height = 190 + 34 * len(shown)
    some = f"{len(shown)} of " if len(shown) < len(found.classes) else ""
    title = f"Calibration of {some}{len(found.classes)} classes, {record.n} rows, 95 % intervals"
    result.update_layout(base(title, height=height).layout)
    result.update_layout(margin={"l": 150, "t": 80}, legend={"y": -60 / (height - 130)})
    result.update_annotations(font_size=12)
    for m in range(len(CLASS_MEASURES)):
        _points(result, found, shown, m)
    for column in (1, 2):
        mark(result, 0.0, len(shown), "dash", row=1, col=column)
        names = [found.classes[c] for c in shown] if column == 1 else [""] * len(shown)
        result.update_yaxes(
            tickvals=list(range(len(shown))), ticktext=names, range=[len(shown) - 0.4, -0.6], zeroline=False,
            row=1, col=column,
        )  # fmt: skip
    low, high = found.excess_low[:, shown], found.excess_high[:, shown]
    result.update_xaxes(range=span(low, high, 0.0), row=1, col=1)
    result.update_xaxes(range=span(found.ece[:, shown], found.ece95[:, shown], 0.0), row=1, col=2)
    return result


def _points(result: go.Figure, found: CalibrationByClass, shown: np.ndarray, m: int) -> None:
    known = found.n[m, shown] > 0
    at, y = shown[known], np.flatnonzero(known) + (0.16 if m else -0.16)
    filled = [MARKERS[m] if r else f"{MARKERS[m]}-open" for r in found.ranked[m, at]]
    look = {"color": COLOURS[m], "size": 8, "symbol": filled}
    value, low, high = (a[m, at] for a in (found.excess, found.excess_low, found.excess_high))
    says = [f"{found.classes[c]}: {number(v, a, b)}, n = {found.n[m, c]}" for c, v, a, b in zip(at, value, low, high)]
    one = {"mode": "markers", "marker": look, "legendgroup": str(m), "row": 1}
    result.add_scatter(
        x=value,
        y=y,
        error_x=errors(value, low, high),
        text=says,
        hoverinfo="text",
        name=CLASS_MEASURES[m],
        col=1,
        **one,
    )
    result.add_scatter(x=found.ece[m, at], y=y, showlegend=False, col=2, **one)
    crosses = {"color": NEUTRAL, "size": 7, "symbol": "x"}
    name = "a calibrated model exceeds this one time in 20"
    result.add_scatter(
        x=found.ece95[m, at], y=y, mode="markers", marker=crosses, name=name, showlegend=m == 0, row=1, col=2
    )


def rows(found: CalibrationByClass) -> pd.DataFrame:
    """One class and measure a row: stated, happened, the excess with its interval, the calibration error and its null."""
    count = len(found.classes)
    return pd.DataFrame(
        {
            "measure": np.repeat(CLASS_MEASURES, count),
            "class": np.tile(np.array(found.classes, str), len(CLASS_MEASURES)),
            "n": found.n.ravel(),
            "stated": found.stated.ravel(),
            "happened": found.happened.ravel(),
            "excess": found.excess.ravel(),
            "excess low": found.excess_low.ravel(),
            "excess high": found.excess_high.ravel(),
            "calibration error": found.ece.ravel(),
            "error of a calibrated model, 95 % point": found.ece95.ravel(),
            "p": found.p.ravel(),
            "p (all classes at once)": found.p_corrected.ravel(),
            "ranked": found.ranked.ravel(),
        }
    )


def says(found: CalibrationByClass) -> str:
    """The classwise and the top-label calibration error, each beside its null."""
    told = [
        f"{what} {number(float(found.mean_ece[m]))} (a calibrated model reaches {number(float(found.mean_ece95[m]))} one time "
        f"in 20, {p_value(float(found.mean_p[m]))})"
        for m, what in enumerate(("classwise", "top-label"))
    ]
    return f"By class, the calibration error is {told[0]} and {told[1]}, over {len(found.classes)} classes."
