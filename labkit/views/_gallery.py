"""Pictures side by side with a line of text over each, as a figure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.views._maps import GREY
from labkit.views._style import base

LETTERS = 132  # of the small print that fit over a line of pictures
Tile = tuple[str, np.ndarray | None]


def gallery(title: str, lines: Sequence[Sequence[Tile]], across: int = 0) -> go.Figure:
    """One line a row of tiles: what stands over a picture, and the (channels, height, width) picture or None.

    Pictures of one channel are grey, from the darkest to the brightest value of all; others are in their colors.
    """
    across = across or max(len(line) for line in lines)
    padded = [[*line, *[("", None)] * (across - len(line))] for line in lines]
    titles = [short(text, max(10, LETTERS // across)) for line in padded for text, _ in line]
    down = len(padded)
    figure = make_subplots(
        down, across, subplot_titles=titles, horizontal_spacing=0.012, vertical_spacing=0.26 / max(down, 2)
    )
    figure.update_layout(base(title, height=100 + 130 * down).layout, margin={"l": 10, "r": 10, "b": 10, "t": 72})
    figure.update_annotations(font_size=11)
    known = [image for line in padded for _, image in line if image is not None]
    low, high = min(float(i.min()) for i in known), max(float(i.max()) for i in known)
    for r, line in enumerate(padded, start=1):
        for c, (_, image) in enumerate(line, start=1):
            if image is not None:
                figure.add_trace(picture(image, low, high), row=r, col=c)
            beside = figure.get_subplot(r, c).yaxis.anchor
            figure.update_xaxes(visible=False, constrain="domain", row=r, col=c)
            figure.update_yaxes(
                visible=False, autorange="reversed", constrain="domain", scaleanchor=beside, row=r, col=c
            )
    return figure


def picture(image: np.ndarray, low: float, high: float) -> go.Heatmap | go.Image:
    """One (channels, height, width) picture as a trace; its values lie from low to high."""
    if len(image) == 3:
        shade = (image - low) / ((high - low) or 1.0)
        return go.Image(z=np.round(255 * shade.transpose(1, 2, 0)).astype(np.uint8), hoverinfo="skip")
    return go.Heatmap(z=image.mean(0), colorscale=GREY, zmin=low, zmax=high, showscale=False, hoverinfo="skip")


def short(text: str, most: int = 60) -> str:
    """A text cut to a length, for a label."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
