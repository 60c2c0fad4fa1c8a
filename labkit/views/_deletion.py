"""The deletion curve as part of a figure: what the output does as the first-ranked positions go."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from labkit.records.explain import Explanation, Score
from labkit.views._style import COLOURS, DASHES, NEUTRAL


def deletion(record: Explanation) -> Score | None:
    """The measure, where it was taken and applies."""
    score = record.scores.get("deletion")
    return None if score is None or score.not_applicable else score


def title(record: Explanation, i: int) -> str:
    """What stands above the curve."""
    score = deletion(record)
    return "" if score is None else f"deletion, area {score.values[i]:.2f}"


def curve(figure: go.Figure, record: Explanation, i: int, noun: str, at: tuple[int, int], *, last: bool) -> None:
    """The target's probability, or the share of its change that is left, for the method and in random order."""
    score = deletion(record)
    if score is None:
        return
    row, col = at
    curves = {"deletion": score.more["curve"][i], "in random order": score.controls["random"].more["curve"][i]}
    for j, (name, values) in enumerate(curves.items()):
        figure.add_scatter(
            x=np.linspace(0, 1, len(values)),
            y=values,
            mode="lines",
            name=name,
            legendgroup=f"deletion {j}",
            line={"color": COLOURS[0] if j == 0 else NEUTRAL, "dash": DASHES[j]},
            showlegend=i == 0,
            row=row,
            col=col,
        )
    words = f"share of {noun} removed" if last else None
    figure.update_xaxes(title_text=words, tickvals=[0, 0.5, 1], row=row, col=col)
    if np.isfinite(record.proba).all():
        figure.update_yaxes(range=[0, 1.02], row=row, col=col)
