"""How calibration looks: the reliability curve in the band of a calibrated model, above a histogram of the scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.refused import Refused
from labkit.core.words import number, p_value
from labkit.records.calibration import Calibration
from labkit.views import _calibrated_classes as classes
from labkit.views import _calibrated_groups as groups
from labkit.views._style import COLOURS, NEUTRAL, base, rgba


def figure(record: Calibration) -> go.Figure:
    """CORP reliability curve, 95 % band of a perfectly calibrated model, Brier score and its parts, histogram; of a record by
    group each group's curve, and what is stated and happens in it. ``views.calibration.by_class`` draws the classes."""
    if record.by_group is not None:
        return groups.figure(record, record.by_group)
    result = make_subplots(2, 1, shared_xaxes=True, row_heights=[0.75, 0.25], vertical_spacing=0.06)
    result.update_layout(base(f"Reliability, {record.n} rows", height=460).layout)
    result.add_scatter(
        x=np.concatenate([record.score, record.score[::-1]]),
        y=np.concatenate([record.band_high, record.band_low[::-1]]),
        fill="toself",
        mode="lines",
        line={"width": 0},
        fillcolor=rgba(NEUTRAL, 0.25),
        name="calibrated, 95 % band",
        hoverinfo="skip",
        row=1,
        col=1,
    )
    diagonal = {"dash": "dash", "color": NEUTRAL, "width": 1}
    result.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=diagonal, name="as stated", row=1, col=1)
    curve = {"color": COLOURS[0], "width": 2}
    result.add_scatter(x=record.score, y=record.frequency, mode="lines", line=curve, name="observed", row=1, col=1)
    middles = (record.edges[1:] + record.edges[:-1]) / 2
    bars = {"color": COLOURS[0]}
    result.add_bar(x=middles, y=record.count, width=np.diff(record.edges), marker=bars, showlegend=False, row=2, col=1)
    result.add_annotation(
        x=0.02,
        y=0.98,
        xanchor="left",
        yanchor="top",
        align="left",
        showarrow=False,
        font={"size": 12},
        text=f"Brier {record.brier:.3f} = {record.miscalibration:.3f} miscalibration - {record.discrimination:.3f} "
        f"discrimination + {record.uncertainty:.3f} uncertainty",
        row=1,
        col=1,
    )
    result.update_xaxes(range=[0, 1])
    result.update_xaxes(title_text=f"stated probability of {record.event}", row=2, col=1)
    result.update_yaxes(title_text="how often it happened", range=[0, 1], row=1, col=1)
    result.update_yaxes(title_text="rows", row=2, col=1)
    return result


def by_class(record: Calibration) -> go.Figure:
    """Every class: how much more often it happened than stated, and its calibration error. Raises Refused for a record
    without classes."""
    if record.by_class is None:
        raise Refused("calibration of every class", "a record without it", "labkit.calibration(p, by_class=True)")
    return classes.figure(record, record.by_class)


def rows(record: Calibration) -> pd.DataFrame:
    """One point of the curve a row: stated probability, observed frequency, band of a calibrated model. Of a record by group
    one group a row; else of one by class one class and measure a row."""
    if record.by_group is not None:
        return groups.rows(record.by_group)
    if record.by_class is not None:
        return classes.rows(record.by_class)
    return pd.DataFrame(
        {
            "score": record.score,
            "frequency": record.frequency,
            "calibrated low": record.band_low,
            "calibrated high": record.band_high,
        }
    )


def says(record: Calibration) -> str:
    """Brier score, calibration error and its null, in one sentence; and of classes and groups, in another each."""
    beyond = "more than" if record.p < 0.005 else "at the edge of what" if record.p < 0.05 else "within what"
    told = (
        f"Brier score {number(record.brier, record.brier_low, record.brier_high)} on {record.n} rows, against "
        f"{number(record.uncertainty)} for always answering the base rate; the calibration error of {number(record.ece)} is "
        f"{beyond} a calibrated model shows (95 % point {number(record.ece95)}, "
        f"{p_value(record.p)})."
    )
    told = told if record.by_class is None else f"{told} {classes.says(record.by_class)}"
    return told if record.by_group is None else f"{told} {groups.says(record.by_group)}"
