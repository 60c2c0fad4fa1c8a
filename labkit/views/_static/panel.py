"""One set of axes, and what several kinds of traces draw alike: line patterns and error bars."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from labkit.views._static.colour import colour
from labkit.views._static.scale import Scale

DASHES: dict[str, Any] = {
    "solid": "-",
    "dash": (0, (5, 3)),
    "dot": (0, (1.2, 2.2)),
    "dashdot": (0, (6, 2.5, 1.2, 2.5)),
    "longdash": (0, (9, 4)),
    "longdashdot": (0, (9, 3, 1.2, 3)),
}


@dataclass
class Panel:
    """One set of axes: its scales, and what the traces drawn so far leave behind for the next."""

    axes: Any
    x: Scale
    y: Scale
    layout: Any
    previous: Any = None
    stacked: dict[tuple[float, bool], float] = field(default_factory=dict)
    bars: int = 0
    bar: int = 0


def dash(name: Any) -> Any:
    """Plotly's name of a line pattern, or its list of lengths, as matplotlib takes it."""
    if name in DASHES:
        return DASHES[name]
    return (0, [float(v.removesuffix("px")) for v in str(name).split(",")]) if name else "-"


def errors(panel: Panel, trace: Any, x: np.ndarray, y: np.ndarray, main: Any) -> None:
    for way, bars in (("xerr", trace.error_x), ("yerr", trace.error_y)):
        if bars.array is None or bars.visible is False:
            continue
        above = np.array(bars.array, float)
        below = above if bars.symmetric is not False and bars.arrayminus is None else np.array(bars.arrayminus, float)
        panel.axes.errorbar(
            x,
            y,
            **{way: np.abs([below, above])},
            fmt="none",
            ecolor=colour(bars.color or main),
            elinewidth=bars.thickness or 1.5,
            capsize=3 if bars.width is None else bars.width / 2,
            zorder=3.5,
        )
