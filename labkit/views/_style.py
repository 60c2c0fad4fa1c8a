"""Colours, fonts and settings shared by every figure: colour-blind safe, readable in light and dark."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio

# Okabe and Ito's eight colours, 2008; black is left to the ink.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star")
DIVERGING = [[0, "#2166ac"], [0.5, "#f7f7f7"], [1, "#b2182b"]]
NEUTRAL = "#7f7f7f"
CONFIG = {"showSendToCloud": False, "displaylogo": False, "displayModeBar": False, "responsive": True}

# A figure that is the last line of a cell takes these from plotly's renderer, not from the figure.
pio.renderers["plotly_mimetype"].config.update(showSendToCloud=False, displaylogo=False, responsive=True)


def base(title: str, x: str = "", y: str = "", height: int = 360) -> go.Figure:
    """An empty figure in the house style. Titles and axis names are plain text."""
    figure = go.Figure()
    figure.update_layout(
        title={"text": title, "x": 0, "xanchor": "left", "font": {"size": 15}},
        xaxis_title=x,
        yaxis_title=y,
        height=height,
        margin={"l": 60, "r": 20, "t": 48, "b": 48},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": NEUTRAL, "size": 13},
        legend={"orientation": "h", "y": -0.22},
        colorway=list(COLOURS),
    )
    figure.update_xaxes(gridcolor="rgba(127,127,127,0.25)", zerolinecolor="rgba(127,127,127,0.5)")
    figure.update_yaxes(gridcolor="rgba(127,127,127,0.25)", zerolinecolor="rgba(127,127,127,0.5)")
    figure._config = dict(figure._config, **CONFIG)
    return figure


def rgba(colour: str, alpha: float) -> str:
    """A hex colour with transparency, as plotly writes it."""
    r, g, b = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({r},{g},{b},{alpha})"


def errors(value: np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, object]:
    """Plotly's description of asymmetric error bars for an interval."""
    return {"type": "data", "symmetric": False, "array": high - value, "arrayminus": value - low, "thickness": 1.5}
