"""How recalibration looks: what each method changes, its calibration error, and the curve before and after."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import number, p_value, share
from labkit.records.recalibrate import Recalibrate
from labkit.views._forest import mark, span
from labkit.views._style import COLOURS, NEUTRAL, base, errors, rgba


def figure(record: Recalibrate) -> go.Figure:
    """By method the change of the log loss with its 95 % interval, and the calibration error beside a cross that a
    calibrated model exceeds one time in 20; below the reliability curves as they are and after the chosen method, in the
    95 % band of a calibrated model of the latter's scores."""
    count = len(record.methods)
    above, below = 40 + 30 * count, 300
    result = make_subplots(
        2,
        2,
        specs=[[{}, {}], [{"colspan": 2}, None]],
        row_heights=[above, below],
        vertical_spacing=95 / (above + below),
        horizontal_spacing=0.06,
        subplot_titles=["log loss, after less before", f"calibration error ({record.event})", ""],
    )
    result.update_layout(base(f"Recalibrated, {record.n} rows, 95 % intervals", height=above + below + 190).layout)
    result.update_layout(margin={"l": 110, "t": 80}, legend={"y": -0.13})
    result.update_annotations(font_size=12)
    others, y = np.arange(1, count), np.arange(count)
    value, low, high = (
        a[others] for a in (record.log_loss_change, record.log_loss_change_low, record.log_loss_change_high)
    )
    blue = {"color": COLOURS[0], "size": 9}
    one = {"mode": "markers", "marker": blue, "showlegend": False, "row": 1}
    result.add_scatter(x=value, y=others, error_x=errors(value, low, high), col=1, **one)
    result.add_scatter(x=record.ece, y=y, col=2, **one)
    crosses = {"color": NEUTRAL, "size": 8, "symbol": "x"}
    name = "a calibrated model exceeds this one time in 20"
    result.add_scatter(x=record.ece95, y=y, mode="markers", marker=crosses, name=name, row=1, col=2)
    for column, ends in ((1, (low, high, 0.0)), (2, (record.ece, record.ece95, 0.0))):
        mark(result, 0.0, count, "dash", row=1, col=column)
        result.update_xaxes(range=span(*ends), row=1, col=column)
        names = list(record.methods) if column == 1 else [""] * count
        ticks = {"tickvals": list(range(count)), "ticktext": names, "zeroline": False}
        result.update_yaxes(range=[count - 0.4, -0.6], **ticks, row=1, col=column)
    _curves(result, record)
    return result


def _curves(result: go.Figure, record: Recalibrate) -> None:
    known = ~np.isnan(record.band_low)
    x = record.grid[known]
    result.add_scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([record.band_high[known], record.band_low[known][::-1]]),
        fill="toself",
        mode="lines",
        line={"width": 0},
        fillcolor=rgba(NEUTRAL, 0.25),
        name="calibrated, 95 % band",
        hoverinfo="skip",
        row=2,
        col=1,
    )
    thin = {"dash": "dash", "color": NEUTRAL, "width": 1}
    result.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=thin, showlegend=False, row=2, col=1)
    for m, colour, dash, name in ((0, COLOURS[1], "dot", "as they are"), (-1, COLOURS[0], "solid", "after the chosen")):
        there = ~np.isnan(record.frequency[m])
        look = {"color": colour, "dash": dash, "width": 2}
        x, line = record.grid[there], record.frequency[m][there]
        result.add_scatter(x=x, y=line, mode="lines", line=look, name=name, row=2, col=1)
    result.update_xaxes(title_text=f"stated probability of {record.event}", range=[0, 1], row=2, col=1)
    result.update_yaxes(title_text="how often it happened", range=[0, 1], row=2, col=1)


def rows(record: Recalibrate) -> pd.DataFrame:
    """One method a row: losses and their changes with intervals, calibration errors beside their nulls, answers changed."""
    told: dict[str, object] = {"method": record.methods, "about": record.about, "n": record.n}
    for name in ("log_loss", "brier", "log_loss_change", "brier_change", "accuracy_change"):
        for end in ("", "_low", "_high"):
            told[f"{name}{end}".replace("_", " ")] = getattr(record, f"{name}{end}")
    for name in ("ece", "ece95", "p", "classwise", "classwise95", "classwise_p", "accuracy", "changed"):
        told[name.replace("_", " ")] = getattr(record, name)
    return pd.DataFrame(told)


def says(record: Recalibrate) -> str:
    """What the chosen method changes on rows that it was not fitted on, and whether that is calibrated."""
    change = number(
        record.log_loss_change[-1], record.log_loss_change_low[-1], record.log_loss_change_high[-1], digits=3
    )
    within = "more than" if record.p[-1] < 0.005 else "at the edge of what" if record.p[-1] < 0.05 else "within what"
    how = ", ".join(dict.fromkeys(record.choices))
    where = "each half stated by a fit on the other" if record.crossed else f"fitted on {record.fitted_on} others"
    return (
        f"Recalibration by the method chosen without these rows ({how}) changes the log loss of "
        f"{number(record.log_loss[0], digits=3)} by {change} on {record.n} rows, {where}. The calibration error "
        f"({record.event}) goes from {number(record.ece[0], digits=3)} to {number(record.ece[-1], digits=3)}, {within} a calibrated model "
        f"shows (95 % point {number(record.ece95[-1], digits=3)}, {p_value(record.p[-1])}); {share(record.changed[-1] / record.n)} answers "
        f"change. For new rows: {record.chosen}."
    )
