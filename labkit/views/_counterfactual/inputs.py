"""Counterfactuals of images, sound and series: the input, the changed one, and the difference."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.records.counterfactuals import Counterfactuals
from labkit.views._maps import GREY, limit, picture
from labkit.views._signals import line
from labkit.views._style import COLOURS, DIVERGING, NEUTRAL, base, rgba

SHOWN = 4


def figure(record: Counterfactuals) -> go.Figure:
    """One row of the data a row: before, after, the difference, and the target's probability as regions change one by one."""
    shown = [i for i in range(len(record)) if record.found[i, 0]][:SHOWN] or [0]
    titles = [text for i in shown for text in _titles(record, i)]
    result = make_subplots(
        len(shown), 4, subplot_titles=titles, horizontal_spacing=0.05, vertical_spacing=0.3 / (len(shown) + 1)
    )
    heading = f"What would have to change: the first {len(shown)} of {len(record)} rows"
    result.update_layout(base(heading, height=120 + 190 * len(shown)).layout, showlegend=False)
    result.update_annotations(font_size=12)
    for row, i in enumerate(shown, start=1):
        before, after = (values.astype(np.float64) for values in (record.x[i], record.after[i, 0]))
        for col, values in enumerate((before, after, after - before), start=1):
            if record.modality == "image":
                picture(result, values.mean(0), DIVERGING if col == 3 else GREY, (row, col))
                if col < 3:  # before and after in the same greys
                    both = before.mean(0), after.mean(0)
                    result.data[-1].update(zmin=float(np.min(both)), zmax=float(np.max(both)))
            else:
                line(result, np.atleast_2d(values)[_moved(before, after)], (row, col), COLOURS[col == 3], "value")
        _curve(result, record, i, row)
    result.update_xaxes(title_text="regions changed", row=len(shown), col=4)
    result.update_xaxes(gridcolor=rgba(NEUTRAL, 0.25), zeroline=False, title_font_size=13)
    result.update_yaxes(gridcolor=rgba(NEUTRAL, 0.25), zeroline=False)
    return result


def _titles(record: Counterfactuals, i: int) -> tuple[str, str, str, str]:
    label, target = record.classes[record.label[i]], record.classes[record.target[i]]
    if not record.found[i, 0]:
        return f"row {record.row[i]}: {label}", f"no way to {target} was found", "", ""
    difference = limit(record.after[i, 0].astype(np.float64) - record.x[i])
    regions = record.changes[i, 0]
    return (
        f"row {record.row[i]}: {label}",
        f"{record.classes[record.reached[i, 0]]}, {regions} region{'s' if regions > 1 else ''}",
        f"difference, ±{difference:.2g}",
        f"{target} {record.before[i]:.2f} → {record.proba[i, 0]:.2f}",
    )


def _moved(before: np.ndarray, after: np.ndarray) -> int:
    """The channel that changes most, or the only one."""
    return int(np.abs(np.atleast_2d(after - before)).sum(1).argmax())


def _curve(result: go.Figure, record: Counterfactuals, i: int, row: int) -> None:
    curve = record.path[i][~np.isnan(record.path[i])]
    trace = go.Scatter(x=np.arange(len(curve)), y=curve, mode="lines+markers", line={"color": COLOURS[0]})
    result.add_trace(trace, row=row, col=4)
    result.update_yaxes(range=[0, 1.02], row=row, col=4)
    result.update_xaxes(tickvals=np.arange(0, len(curve), max(1, len(curve) // 4)).tolist(), row=row, col=4)
