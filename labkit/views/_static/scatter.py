"""Scatter traces: lines, markers, fills, texts."""

from __future__ import annotations

from typing import Any

import numpy as np

from labkit.views._static.clean import INK
from labkit.views._static.colour import colour, colours
from labkit.views._static.panel import Panel, dash, errors
from labkit.views._static.scale import plain

SYMBOLS = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "triangle-down": "v",
    "triangle-left": "<",
    "triangle-right": ">",
    "cross": "P",
    "x": "X",
    "star": "*",
    "line-ns": "|",
    "line-ew": "_",
    "cross-thin": "+",
    "x-thin": "x",
}
STEPS = {"hv": "steps-post", "vh": "steps-pre", "hvh": "steps-mid"}


def scatter(panel: Panel, trace: Any, default: str) -> Any:
    if trace.stackgroup or (trace.fill or "none") not in ("none", "tozeroy", "tozerox", "tonexty", "toself"):
        raise NotImplementedError(f"a scatter trace with fill {trace.fill or 'stackgroup'!r} in a static figure")
    count = len(trace.y if trace.y is not None else trace.x)
    x = panel.x(trace.x) if trace.x is not None else np.arange(count, dtype=float)
    y = panel.y(trace.y) if trace.y is not None else np.arange(count, dtype=float)
    mode = trace.mode or ("lines+markers" if count < 20 else "lines")
    opacity = 1.0 if trace.opacity is None else trace.opacity
    main = trace.line.color or (trace.marker.color if isinstance(trace.marker.color, str) else None) or default
    shown = [_fill(panel, trace, x, y, main)] if trace.fill not in (None, "none") else []
    panel.previous = (x, y)
    if "lines" in mode and trace.line.width != 0:
        keep = np.isfinite(x) & np.isfinite(y) if trace.connectgaps else np.ones(count, bool)
        (line,) = panel.axes.plot(
            x[keep],
            y[keep],
            color=colour(trace.line.color or main, opacity),
            linewidth=trace.line.width or 2,
            linestyle=dash(trace.line.dash),
            drawstyle=STEPS.get(trace.line.shape, "default"),
            zorder=3,
        )
        shown.append(line)
    if "markers" in mode:
        shown.append(_markers(panel, trace, x, y, main, opacity))
    errors(panel, trace, x, y, main)
    if "text" in mode:
        _texts(panel, trace, x, y)
    return tuple(s for s in shown if s is not None)


def _fill(panel: Panel, trace: Any, x: np.ndarray, y: np.ndarray, main: Any) -> Any:
    shade = colour(trace.fillcolor) if trace.fillcolor else colour(main, 0.35)
    style = {"facecolor": shade, "edgecolor": "none", "linewidth": 0, "zorder": 1.5}
    if trace.fill == "toself":
        return panel.axes.fill(x, y, **style)[0]
    if trace.fill == "tozerox":
        return panel.axes.fill_betweenx(y, 0, x, **style)
    step = {"hv": "post", "vh": "pre", "hvh": "mid"}.get(trace.line.shape)
    if trace.fill == "tonexty" and panel.previous is not None:
        before_x, before_y = panel.previous
        if len(before_x) == len(x) and np.array_equal(before_x, x):
            return panel.axes.fill_between(x, before_y, y, step=step, **style)
        return panel.axes.fill(np.append(before_x, x[::-1]), np.append(before_y, y[::-1]), **style)[0]
    return panel.axes.fill_between(x, 0, y, step=step, **style)


def _markers(panel: Panel, trace: Any, x: np.ndarray, y: np.ndarray, main: Any, opacity: float) -> Any:
    marker = trace.marker
    shades = colours(marker.color or main, len(x), marker.colorscale, marker.cmin, marker.cmax)
    symbols = [marker.symbol] * len(x) if marker.symbol is None or isinstance(marker.symbol, str) else marker.symbol
    sizes = np.broadcast_to(np.asarray(6 if marker.size is None else marker.size, float), len(x))
    alpha = opacity * (marker.opacity if isinstance(marker.opacity, int | float) else 1.0)
    edge = colour(marker.line.color) if isinstance(marker.line.color, str) else None
    drawn = None
    for symbol in dict.fromkeys(symbols):
        rows = np.array([s == symbol for s in symbols])
        name = str(symbol or "circle")
        if name.removesuffix("-open") not in SYMBOLS:
            raise NotImplementedError(f"the marker symbol {name!r} in a static figure")
        hollow = name.endswith("-open")
        fill = [s for s, r in zip(shades, rows) if r]
        drawn = panel.axes.scatter(
            x[rows],
            y[rows],
            s=sizes[rows] ** 2,
            marker=SYMBOLS[name.removesuffix("-open")],
            facecolors="none" if hollow else fill,
            edgecolors=fill if hollow else edge or "none",
            linewidths=marker.line.width if marker.line.width is not None else 1.5 if hollow else 0,
            alpha=alpha if alpha < 1 else None,
            zorder=4,
            rasterized=int(rows.sum()) > 2000,
        )
    return drawn


def _texts(panel: Panel, trace: Any, x: np.ndarray, y: np.ndarray) -> None:
    texts = [trace.text] * len(x) if isinstance(trace.text, str) else trace.text
    place = trace.textposition or "middle center"
    places = [place] * len(x) if isinstance(place, str) else place
    side = {"left": ("right", -6), "right": ("left", 6)}
    level = {"top": ("bottom", 6), "bottom": ("top", -6)}
    tint = trace.textfont.color if isinstance(trace.textfont.color, str) else None
    for at_x, at_y, text, place in zip(x, y, texts, places):
        horizontal, dx = side.get(place.split()[-1], ("center", 0))
        vertical, dy = level.get(place.split()[0], ("center", 0))
        panel.axes.annotate(
            plain(text),
            (at_x, at_y),
            xytext=(dx, dy),
            textcoords="offset points",
            ha=horizontal,
            va=vertical,
            color=colour(tint) if tint else INK,
            fontsize=(trace.textfont.size if isinstance(trace.textfont.size, int | float) else None) or 11,
            zorder=6,
        )
