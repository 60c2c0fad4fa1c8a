"""Pictures and maps over them, as parts of a figure."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from labkit.records.explain import Explanation
from labkit.views._style import DIVERGING

GREY = [[0, "#111111"], [1, "#ffffff"]]


def limit(values: np.ndarray) -> float:
    """The largest size of a map, 1 for a map of zeros."""
    return float(np.abs(values).max()) or 1.0


def maps(record: Explanation) -> dict[str, np.ndarray]:
    """The attribution, what its method sets beside it, and the same method on random weights, where there are any."""
    control = {} if record.control is None else {"random weights": record.control}
    return {"attribution": record.attribution, **record.beside, **control}


def heading(record: Explanation, i: int) -> str:
    """What is explained of an example: the target, and its probability where there is one."""
    name, proba = record.classes[record.target[i]], record.proba[i]
    return f"{name}, {proba:.2f}" if np.isfinite(proba) else name


def picture(figure: go.Figure, values: np.ndarray, scale: list[Any], at: tuple[int, int]) -> None:
    """One map; a signed one is drawn as a share of its largest value, with zero in the middle of the colours."""
    signed = scale is DIVERGING
    trace = go.Heatmap(
        z=values / limit(values) if signed else values,
        colorscale=scale,
        zmin=-1 if signed else None,
        zmax=1 if signed else None,
        showscale=False,
        customdata=values,
        hovertemplate="row %{y}, column %{x}: %{customdata:.3g}<extra></extra>",
    )
    row, col = at
    figure.add_trace(trace, row=row, col=col)
    beside = figure.get_subplot(row, col).yaxis.anchor
    figure.update_xaxes(visible=False, constrain="domain", row=row, col=col)
    figure.update_yaxes(visible=False, autorange="reversed", constrain="domain", scaleanchor=beside, row=row, col=col)


def key(figure: go.Figure, row: int) -> None:
    """The colours and what they stand for, as a strip under the maps."""
    shares = np.linspace(-1, 1, 65)
    strip = go.Heatmap(
        z=[shares], x=shares, y=[0], colorscale=DIVERGING, zmin=-1, zmax=1, showscale=False, hoverinfo="skip"
    )
    figure.add_trace(strip, row=row, col=2)
    figure.update_xaxes(tickvals=[-1, 0, 1], title_text="share of each map's largest value", row=row, col=2)
    figure.update_yaxes(visible=False, row=row, col=2)
