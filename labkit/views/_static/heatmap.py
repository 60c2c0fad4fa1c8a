"""Heatmap traces with their colour key."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from labkit.views._static.clean import INK
from labkit.views._static.colour import colormap
from labkit.views._static.panel import Panel
from labkit.views._static.scale import plain


def heatmap(panel: Panel, trace: Any, default: str) -> Any:
    z = np.array([[np.nan if v is None else v for v in row] for row in trace.z], float)
    x = panel.x(trace.x) if trace.x is not None else np.arange(z.shape[1], dtype=float)
    y = panel.y(trace.y) if trace.y is not None else np.arange(z.shape[0], dtype=float)
    scale = panel.layout[trace.coloraxis] if trace.coloraxis else trace
    low, high = (scale.cmin, scale.cmax) if trace.coloraxis else (trace.zmin, trace.zmax)
    middle = scale.cmid if trace.coloraxis else trace.zmid
    finite = z[np.isfinite(z)]
    low = (finite.min() if len(finite) else 0.0) if low is None else low
    high = (finite.max() if len(finite) else 1.0) if high is None else high
    if middle is not None and (scale.zmin if not trace.coloraxis else scale.cmin) is None:
        reach = max(abs(high - middle), abs(low - middle))
        low, high = middle - reach, middle + reach
    style = {"cmap": _shades(scale), "vmin": low, "vmax": high, "alpha": trace.opacity, "zorder": 1}
    if _even(x) and _even(y):
        step_x, step_y = _step(x) / 2, _step(y) / 2
        extent = (x[0] - step_x, x[-1] + step_x, y[0] - step_y, y[-1] + step_y)
        drawn = panel.axes.imshow(z, origin="lower", aspect="auto", interpolation="none", extent=extent, **style)
    else:
        drawn = panel.axes.pcolormesh(_edges(x), _edges(y), z, rasterized=True, **style)
    if trace.text is not None or trace.texttemplate:
        _cell_texts(panel, trace, x, y, z, drawn)
    if scale.showscale is not False:
        _key(panel, scale, drawn)
    return ()


def _shades(scale: Any) -> Any:
    shades = colormap(scale.colorscale)
    return shades.reversed() if scale.reversescale else shades


def _step(values: np.ndarray) -> float:
    return float(values[1] - values[0]) if len(values) > 1 else 1.0


def _even(values: np.ndarray) -> bool:
    return len(values) < 3 or bool(np.allclose(np.diff(values), _step(values), rtol=1e-6))


def _edges(values: np.ndarray) -> np.ndarray:
    middle = (values[1:] + values[:-1]) / 2
    first, last = (
        (values[:1] * 2 - middle[:1], values[-1:] * 2 - middle[-1:]) if len(middle) else (values - 0.5, values + 0.5)
    )
    return np.concatenate([first, middle, last])


def _cell_texts(panel: Panel, trace: Any, x: np.ndarray, y: np.ndarray, z: np.ndarray, drawn: Any) -> None:
    pattern = trace.texttemplate or "%{text}"
    for i, at_y in enumerate(y):
        for j, at_x in enumerate(x):
            text = trace.text[i][j] if trace.text is not None else ""
            shown = _fill_template(pattern, text, z[i, j])
            tint = INK if np.isnan(z[i, j]) else _readable(drawn.cmap(drawn.norm(z[i, j])))
            size = (trace.textfont.size if isinstance(trace.textfont.size, int | float) else None) or 11
            panel.axes.text(at_x, at_y, shown, ha="center", va="center", color=tint, fontsize=size)


def _readable(cell: tuple[float, ...]) -> str:
    """White or near black, whichever has the larger contrast with the cell (WCAG 2.2, relative luminance)."""
    light = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in cell[:3]]
    luminance = 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2]
    return "#ffffff" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.0556 else "#111111"


def _fill_template(pattern: str, text: Any, value: float) -> str:
    def put(match: re.Match[str]) -> str:
        if match[1] == "text":
            return plain(text)
        return format(value, match[2] or ".3g") if np.isfinite(value) else ""

    return re.sub(r"%\{(text|z)(?::([^}]*))?\}", put, pattern)


def _key(panel: Panel, scale: Any, drawn: Any) -> None:
    """A colour key beside the panel: a strip of the colours with ticks on its right."""
    strip = panel.axes.inset_axes((1.02, 0, 0.025, 1))
    low, high = drawn.norm.vmin, drawn.norm.vmax
    strip.imshow(
        np.linspace(0, 1, 64)[:, None],
        cmap=drawn.cmap,
        aspect="auto",
        origin="lower",
        interpolation="none",
        extent=(0, 1, low, high),
    )
    strip.set_xticks([])
    strip.yaxis.tick_right()
    strip.tick_params(colors=INK, labelsize=10, length=3)
    for spine in strip.spines.values():
        spine.set_visible(False)
    bar = scale.colorbar
    if bar.tickvals is not None:
        strip.set_yticks(list(bar.tickvals), [plain(t) for t in (bar.ticktext or bar.tickvals)])
    if bar.title.text:
        strip.yaxis.set_label_position("right")
        strip.set_ylabel(plain(bar.title.text), color=INK, fontsize=11)
