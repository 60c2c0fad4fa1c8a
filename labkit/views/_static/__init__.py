"""Any figure of the lab as one static inline SVG, for reports that need no script.

The picture is the plotly figure that ``labkit.figure`` gives, drawn again by matplotlib. Text becomes SVG text, the ink
becomes ``currentColor`` so that the page decides between light and dark, and the bytes are the same each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.views._static.clean import clean

if TYPE_CHECKING:
    import plotly.graph_objects as go

SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.image_inline": True,
    "image.composite_image": False,
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 12,
    "axes.unicode_minus": True,
    "path.simplify": True,
}


def svg(figure: go.Figure, *, name: str, describe: str = "", heading: bool = True, width: int = 720) -> str:
    """A plotly figure as an ``<svg>`` element to stand in an HTML page, or in a file of its own.

    Args:
        figure: of Scatter, Bar, Heatmap and Image traces on linear, log or category axes, with line and rect shapes,
            annotations, subplots and a legend.
        name: prefixed to every id, so that two figures of one page do not meet; also the salt of generated ids.
        describe: what the picture shows, for those who cannot see it.
        heading: whether to draw the title into the picture. It is always in ``<title>``.
        width: in CSS pixels. The height is the figure's own.

    Raises:
        NotImplementedError: a trace, shape or axis of another kind, by its name.
    """
    import matplotlib

    from labkit.views._static.page import draw

    with matplotlib.rc_context({**SETTINGS, "svg.hashsalt": name}):
        raw, title = draw(figure, width, heading)
    return clean(raw, name, title, describe)
