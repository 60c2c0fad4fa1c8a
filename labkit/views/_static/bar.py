"""Bar traces, standing or lying, in groups, stacks or one over another."""

from __future__ import annotations

from typing import Any

import numpy as np

from labkit.views._static.clean import INK
from labkit.views._static.colour import colours
from labkit.views._static.panel import Panel, errors
from labkit.views._static.scale import plain


def bar(panel: Panel, trace: Any, default: str) -> Any:
    flat = trace.orientation == "h"
    along, length = (trace.y, trace.x) if flat else (trace.x, trace.y)
    place, across = (panel.y, panel.x) if flat else (panel.x, panel.y)
    value = across(length)
    at = place(along) if along is not None else np.arange(len(value), dtype=float)
    step = float(np.min(np.diff(np.unique(at)))) if len(np.unique(at)) > 1 else 1.0
    room = step * (1 - (0.2 if panel.layout.bargap is None else panel.layout.bargap))
    mode = panel.layout.barmode or "group"
    base = np.zeros(len(value)) if trace.base is None else np.broadcast_to(np.asarray(trace.base, float), len(value))
    width: Any = room
    if mode == "group" and trace.width is None:
        width = room / max(panel.bars, 1)
        at = at - room / 2 + width * (panel.bar + 0.5)
    elif mode in ("stack", "relative"):
        base = np.array([panel.stacked.get((a, v < 0), 0.0) for a, v in zip(at, value)])
        panel.stacked.update({(a, v < 0): b + v for a, v, b in zip(at, value, base)})
    if trace.width is not None:
        width = np.asarray(trace.width, float)
    panel.bar += 1
    draw = panel.axes.barh if flat else panel.axes.bar
    drawn = draw(
        at,
        value,
        width,
        base,
        color=colours(trace.marker.color or default, len(value), trace.marker.colorscale),
        alpha=trace.opacity,
        zorder=2.5,
    )
    ends = base + value
    errors(panel, trace, ends if flat else at, at if flat else ends, INK)
    if trace.text is not None and trace.textposition != "none":
        _bar_texts(panel, trace, at, ends, flat)
    return (drawn,)


def _bar_texts(panel: Panel, trace: Any, at: np.ndarray, ends: np.ndarray, flat: bool) -> None:
    texts = [trace.text] * len(at) if isinstance(trace.text, str) else trace.text
    for place, end, text in zip(at, ends, texts):
        sign = -1 if end < 0 else 1
        panel.axes.annotate(
            plain(text),
            (end, place) if flat else (place, end),
            xytext=(5 * sign, 0) if flat else (0, 4 * sign),
            textcoords="offset points",
            ha=("left" if sign > 0 else "right") if flat else "center",
            va="center" if flat else ("bottom" if sign > 0 else "top"),
            color=INK,
            fontsize=11,
            zorder=6,
        )
