"""Counterfactuals of texts: the words, those that go struck through, those that come beneath them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.records.counterfactuals import Counterfactuals
from labkit.views._style import COLOURS, NEUTRAL, base, rgba

SHOWN, WIDE = 4, 74  # texts, and letters a line
GOES = "left out, or replaced by what stands beneath"
GAP, TALL = 1.3, 1.9  # letters between words, and the height of a line with words beneath


class Placed(NamedTuple):
    """A word, what comes in its place ("" where nothing does, None where it stays), and where it stands."""

    old: str
    new: str | None
    x: float
    y: float


def figure(record: Counterfactuals) -> go.Figure:
    """One text a row with its first counterfactual, and the target's probability as its changes are made, best first."""
    shown = [i for i in range(len(record)) if record.found[i, 0]][:SHOWN] or [0]
    laid = [_lay(record, i) for i in shown]
    heights = [max(2.6, _tall(words)) for words in laid]
    titles = [text for i in shown for text in (_title(record, i), "")]
    result = make_subplots(
        len(shown),
        2,
        subplot_titles=titles,
        column_widths=[0.8, 0.2],
        row_heights=heights,
        horizontal_spacing=0.06,
        vertical_spacing=0.42 / (len(shown) + 1),
    )
    height = 130 + int(28 * sum(heights)) + 58 * len(shown)
    result.update_layout(base("Words whose change changes the answer", height=height).layout)
    result.update_layout(margin={"l": 20}, legend={"orientation": "h", "y": -0.1})
    result.update_annotations(font_size=12)
    for row, (i, words) in enumerate(zip(shown, laid), start=1):
        _words(result, words, row)
        _curve(result, record, i, row)
    result.update_xaxes(title_text="words changed", row=len(shown), col=2)
    result.update_xaxes(gridcolor=rgba(NEUTRAL, 0.25), zeroline=False, title_font_size=13)
    result.update_yaxes(gridcolor=rgba(NEUTRAL, 0.25), zeroline=False)
    return result


def _title(record: Counterfactuals, i: int) -> str:
    target = record.classes[record.target[i]]
    if not record.found[i, 0]:
        return f"row {record.row[i]}: no way to {target} was found"
    return f"row {record.row[i]}: {target} {record.before[i]:.2f} → {record.proba[i, 0]:.2f}"


def _lay(record: Counterfactuals, i: int) -> list[Placed]:
    """Each word at its place, wrapped into lines; a line beneath which words come takes more room."""
    lines: list[list[tuple[str, str | None, float]]] = [[]]
    begin = 0.0
    for old, new, edited in zip(record.was[i], record.becomes[i][0], record.edited[i, 0]):
        if not old:
            continue
        size = max(len(old), len(new) if edited else 0)
        if begin + size > WIDE and begin:
            lines.append([])
            begin = 0.0
        lines[-1].append((old, new if edited else None, begin + size / 2))
        begin += size + GAP
    laid, y = [], 0.0
    for line in lines:
        laid += [Placed(old, new, x, y) for old, new, x in line]
        y += TALL if any(new for _, new, _ in line) else 1.0
    return laid


def _words(result: go.Figure, words: list[Placed], row: int) -> None:
    known = {trace.name for trace in result.data}
    stays = [(w.old, w.x, w.y) for w in words if w.new is None]
    goes = [(w.old, w.x, w.y) for w in words if w.new is not None]
    comes = [(w.new, w.x, w.y + 0.75) for w in words if w.new]
    for some, tint in ((stays, NEUTRAL), (goes, COLOURS[1]), (comes, COLOURS[0])):
        if some:
            text, x, y = (list(part) for part in zip(*some))
            _add(result, row, x=x, y=y, text=text, mode="text", textfont={"color": tint, "size": 12}, showlegend=False)
    xs = [v for old, x, _ in goes for v in (x - len(old) / 2, x + len(old) / 2, None)]
    ys = [v for _, _, y in goes for v in (y, y, None)]
    style = {"color": COLOURS[1], "width": 1.5}
    _add(result, row, x=xs, y=ys, mode="lines", line=style, name=GOES, showlegend=GOES not in known)
    result.update_xaxes(visible=False, range=[-1, WIDE + 1], row=row, col=1)
    result.update_yaxes(visible=False, range=[_tall(words) - 0.4, -0.6], row=row, col=1)


def _tall(words: list[Placed]) -> float:
    """The height of a text in lines."""
    return max((w.y + (TALL if w.new else 1.0) for w in words), default=1.0)


def _add(result: go.Figure, row: int, **trace: Any) -> None:
    result.add_trace(go.Scatter(hoverinfo="skip", **trace), row=row, col=1)


def _curve(result: go.Figure, record: Counterfactuals, i: int, row: int) -> None:
    curve = record.path[i][~np.isnan(record.path[i])]
    style = {"color": COLOURS[0]}
    trace = go.Scatter(x=np.arange(len(curve)), y=curve, mode="lines+markers", line=style, showlegend=False)
    result.add_trace(trace, row=row, col=2)
    result.update_yaxes(range=[0, 1.02], row=row, col=2)
    result.update_xaxes(tickvals=np.arange(0, len(curve), max(1, len(curve) // 4)).tolist(), row=row, col=2)
