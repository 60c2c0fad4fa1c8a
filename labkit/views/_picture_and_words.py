"""How an explanation of a picture with words looks: the map over the picture beside the words' bars."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.records.explain import Explanation
from labkit.views._maps import heading, key, limit, picture
from labkit.views._style import COLOURS, DIVERGING, NEUTRAL, base

EXAMPLES = 4


def figure(record: Explanation) -> go.Figure:
    """One example a row: the picture, the map over it, its random-weights control, and a bar for each word. What the
    pixels and the words add up to stands above them: it says which part the answer came from."""
    shown, control = min(EXAMPLES, len(record)), record.control
    columns = ["input", "pixels", *(["random weights"] if control is not None else []), "", "words"]
    maps = len(columns) - 3
    titles = [_heading(record, i, column) for i in range(shown) for column in columns if column]
    figure = make_subplots(
        shown + 1,
        len(columns),
        subplot_titles=titles,
        specs=[[{} if column else None for column in columns]] * shown
        + [[None, {"colspan": maps}, *[None] * (maps + 1)]],
        row_heights=[1.0] * shown + [0.08],
        column_widths=[1.0] * (maps + 1) + [0.7, 1.3],  # the words stand in the column that is left empty
        horizontal_spacing=0.03,
        vertical_spacing=0.3 / (shown + 1),
    )
    figure.update_layout(base(f"{record.method}: picture and words", height=150 + 190 * shown).layout, barmode="group")
    figure.update_annotations(font_size=12)
    for i in range(shown):
        _input(figure, split(record, record.x)[0][i], (i + 1, 1))
        for j, values in enumerate([record.attribution, control][:maps]):
            picture(figure, split(record, values)[0][i].sum(0), DIVERGING, (i + 1, j + 2))
        _words(figure, record, i, len(columns))
    key(figure, shown + 1)
    return figure


def split(record: Explanation, values: Any) -> tuple[np.ndarray, np.ndarray]:
    """(n, channels, height, width) of the picture and (n, words) of the words."""
    pixels = int(np.prod(record.picture))
    return values[:, :pixels].reshape(-1, *record.picture), values[:, pixels:]


def places(record: Explanation, at: np.ndarray) -> dict[str, Any]:
    """For each entry by its number in the row: its part, where it is there, and its value as text."""
    pixels = int(np.prod(record.picture))
    inside = at < pixels
    where = np.unravel_index(np.minimum(at, pixels - 1), record.picture)
    numbers, texts = split(record, record.x)[0].reshape(len(record), -1), record.texts
    return {
        "part": np.where(inside, "pixel", "word"),
        **{name: pd.Series(v).where(inside).astype("Int64") for name, v in zip(("channel", "row", "column"), where)},
        "position": pd.Series(at - pixels).where(~inside).astype("Int64"),
        "value": [v for row, words in zip(numbers, texts) for v in (*(f"{p:g}" for p in row), *words)],
    }


def _heading(record: Explanation, i: int, column: str) -> str:
    pixels, words = (float(part[i].sum()) for part in split(record, record.attribution))
    if column == "input":
        return heading(record, i)
    if column == "pixels":
        return f"pixels: {pixels:+.2f}"
    return f"words: {words:+.2f}" if column == "words" else "random weights"


def _input(figure: go.Figure, pixels: np.ndarray, at: tuple[int, int]) -> None:
    """The picture in its colors."""
    row, col = at
    color = np.round(255 * np.clip(pixels, 0, 1)).astype(np.uint8).transpose(1, 2, 0)
    figure.add_trace(go.Image(z=np.broadcast_to(color, (*color.shape[:2], 3)), hoverinfo="skip"), row=row, col=col)
    figure.update_xaxes(visible=False, constrain="domain", row=row, col=col)
    figure.update_yaxes(visible=False, constrain="domain", row=row, col=col)


def _words(figure: go.Figure, record: Explanation, i: int, column: int) -> None:
    """A bar for each word, in the name's order from the top; unknown words have one too."""
    kept = [p for p, word in enumerate(record.texts[i]) if word][::-1]
    own = split(record, record.attribution)[1][i]
    series = {"words: attribution": own}
    if record.control is not None:
        other = split(record, record.control)[1][i]
        series["random weights, scaled"] = other * (limit(own) / limit(other))
    for j, (name, values) in reversed(list(enumerate(series.items()))):
        figure.add_bar(
            y=[f"{record.texts[i][p]} · {p + 1}" for p in kept],
            x=values[kept],
            orientation="h",
            name=name,
            marker_color=COLOURS[0] if j == 0 else NEUTRAL,
            showlegend=i == 0,
            row=i + 1,
            col=column,
        )
