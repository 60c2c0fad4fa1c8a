"""What forest plots share: an axis that holds everything drawn, reference lines, and bands of what chance shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from labkit.views._style import NEUTRAL, rgba


def span(*values: object) -> list[float]:
    """An axis range around all finite values, with a little room. Plotly leaves shapes out of its own range."""
    flat = np.concatenate([np.ravel(np.asarray(v, float)) for v in values])
    known = flat[np.isfinite(flat)]
    if not len(known):
        return [0.0, 1.0]
    room = 0.06 * (known.max() - known.min()) or 0.05
    return [float(known.min() - room), float(known.max() + room)]


def mark(figure: go.Figure, x: float, count: int, dash: str, **place: int) -> None:
    """A vertical line across ``count`` rows."""
    line = {"dash": dash, "width": 1.2, "color": NEUTRAL}
    figure.add_shape(type="line", x0=x, x1=x, y0=-0.6, y1=count - 0.4, line=line, **place)


def band(figure: go.Figure, ends: tuple[Any, Any], rows: tuple[Any, Any], **place: int) -> None:
    """A grey band behind the rows from the first to the last of ``rows``: what groups that are alike show by chance."""
    (low, high), (top, bottom) = ends, rows
    box = {"x0": low, "x1": high, "y0": top - 0.45, "y1": bottom + 0.45}
    look = {"fillcolor": rgba(NEUTRAL, 0.18), "line": {"width": 0}, "layer": "below"}
    figure.add_shape(type="rect", **box, **look, **place)
