"""Plotly's colours as matplotlib takes them."""

from __future__ import annotations

import re
from typing import Any

from labkit.views._static.clean import INK

_NUMBER = re.compile(r"[\d.]+%?")


def colour(value: Any, alpha: float | None = None) -> Any:
    """An RGBA tuple, or the ink for black. Reads ``#rgb``, ``#rrggbb``, ``rgb()``, ``rgba()`` and CSS names."""
    from matplotlib.colors import to_rgba

    text = str(value).strip()
    if text.lower() in ("black", "#000", "#000000", "currentcolor"):
        return INK if alpha is None or alpha == 1 else to_rgba(INK, alpha)
    if text.lower().startswith("rgb"):
        parts = [float(p.rstrip("%")) for p in _NUMBER.findall(text)]
        red, green, blue = (p / 255 for p in parts[:3])
        own = parts[3] if len(parts) > 3 else 1.0
        return (red, green, blue, own * (1 if alpha is None else alpha))
    rgba = to_rgba(text)
    return rgba if alpha is None else (*rgba[:3], rgba[3] * alpha)


def colours(value: Any, count: int, scale: Any = None, low: Any = None, high: Any = None) -> list[Any]:
    """One colour an item: a single colour, a list of them, or numbers on a colour scale."""
    import numpy as np

    if value is None or isinstance(value, str):
        return [colour(value or "#7f7f7f")] * count
    items = list(value)
    if items and not isinstance(items[0], str):
        numbers = np.array(items, float)
        low = np.nanmin(numbers) if low is None else low
        high = np.nanmax(numbers) if high is None else high
        return list(colormap(scale)((numbers - low) / ((high - low) or 1)))
    return [colour(v) for v in items]


def colormap(scale: Any) -> Any:
    """A matplotlib colour map from plotly's list of [position, colour], or from a name."""
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap

    if scale is None:
        scale = "cividis"
    if isinstance(scale, str):
        from plotly.colors import get_colorscale

        if scale.lower() in colormaps:
            return colormaps[scale.lower()]
        scale = get_colorscale(scale)
    stops = [(float(position), colour(value)) for position, value in scale]
    return LinearSegmentedColormap.from_list("figure", stops)
