"""Which traces can be drawn, and by what."""

from __future__ import annotations

from typing import Any

from labkit.views._static.bar import bar
from labkit.views._static.heatmap import heatmap
from labkit.views._static.image import image
from labkit.views._static.panel import Panel
from labkit.views._static.scatter import scatter

KINDS = {"scatter": scatter, "scattergl": scatter, "bar": bar, "heatmap": heatmap, "image": image}


def add(panel: Panel, trace: Any, default: str) -> Any:
    """Draw one trace; returns what its legend entry shows. Raises NotImplementedError with the trace's type."""
    if trace.type not in KINDS:
        raise NotImplementedError(f"a trace of type {trace.type!r} in a static figure; drawn are {', '.join(KINDS)}")
    return KINDS[trace.type](panel, trace, default)
