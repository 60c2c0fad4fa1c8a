"""How memorisation looks: the rows by rank above what chance shows, and the most memorised as pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core import intervals
from labkit.core.words import less, number
from labkit.records.memorization import Memorization
from labkit.views._gallery import picture, short
from labkit.views._style import COLOURS, NEUTRAL, base, errors, rgba

TITLE = "Memorisation: right when seen less right when not seen"
ACROSS = 6
LINES, LINE = 8, 20  # of texts, and the height of one in pixels


def figure(record: Memorization) -> go.Figure:
    """Left the rows from the most to the least memorised, in a band of what chance shows; right how many of the rows that
    others get wrong the audited model gives back, in training and in test; below, for images, the most memorised ones,
    each under its label and what most models that did not see it answer."""
    tiles = 0 if record.pictures is None else len(record.pictures)
    down = -(-tiles // ACROSS)
    heights = [1.0] if not down else [0.62 / (0.62 + 0.28 * down), *[0.28 / (0.62 + 0.28 * down)] * down]
    wide = 4 if record.model else ACROSS
    specs: list[list[Any]] = [[None] * ACROSS, *[[{}] * ACROSS for _ in range(down)]]
    specs[0][0] = {"colspan": wide}
    if record.model:
        specs[0][wide] = {"colspan": ACROSS - wide}
    titles = ["training rows, the most memorised first"]
    titles += [f"rows that others get wrong,<br>given their label by {short(record.model, 20)}"] if record.model else []
    titles += [_caption(record, i) for i in record.shown[:tiles]]
    room = {"horizontal_spacing": 0.03, "vertical_spacing": 0.42 / (1.6 + down) if down else 0.1}
    result = make_subplots(1 + down, ACROSS, specs=specs, row_heights=heights, subplot_titles=titles, **room)
    title = f"{TITLE}: {len(record):,} rows, {record.models} models"
    result.update_layout(base(title, height=430 + 190 * down).layout)
    low = result.layout.yaxis.domain[0] + 0.02
    legend = {
        "orientation": "v",
        "x": 0.01,
        "y": low,
        "xanchor": "left",
        "yanchor": "bottom",
        "bgcolor": "rgba(0,0,0,0)",
    }
    result.update_layout(margin={"t": 96}, legend=legend)
    result.update_annotations(font_size=12)
    _ranked(result, record)
    if record.model:
        _given_back(result, record, wide + 1)
    if record.pictures is not None:
        _tiles(result, record.pictures)
    elif record.texts:
        _lines(result, record)
    return result


def _lines(result: go.Figure, record: Memorization) -> None:
    """The texts or rows as lines below the curves."""
    shown = [
        f"{record.classes[record.label[i]]:.20} (others: {record.classes[record.answer[i]]:.20}) · {text}"
        for i, text in list(zip(record.shown, record.texts))[:LINES]
    ]
    shown = ["The most memorised: label (answer of most models that did not see it) · what it is", *shown]
    height = result.layout.height + LINE * len(shown)
    result.update_layout(height=height, margin={"b": 60 + LINE * len(shown)})
    inside = height - result.layout.margin.t - result.layout.margin.b
    for i, text in enumerate(shown):
        result.add_annotation(
            text=short(text, 120),
            xref="paper",
            yref="paper",
            x=0,
            y=-(52 + LINE * i) / inside,
            xanchor="left",
            yanchor="top",
            showarrow=False,
            font={"size": 12},
        )


def _tiles(result: go.Figure, pictures: np.ndarray) -> None:
    """The pictures in lines below the curves."""
    for i, image in enumerate(pictures):
        place = {"row": 2 + i // ACROSS, "col": 1 + i % ACROSS}
        result.add_trace(picture(image, float(pictures.min()), float(pictures.max())), **place)
        beside = result.get_subplot(place["row"], place["col"]).yaxis.anchor
        result.update_xaxes(visible=False, constrain="domain", **place)
        result.update_yaxes(visible=False, autorange="reversed", constrain="domain", scaleanchor=beside, **place)


def _ranked(result: go.Figure, record: Memorization) -> None:
    at = record.ranked[record.rank - 1]
    ends = np.concatenate([record.rank, record.rank[::-1]])
    band = {"mode": "lines", "line": {"width": 0}, "fill": "toself", "hoverinfo": "skip"}
    chance = np.concatenate([record.band_high, record.band_low[::-1]])
    where = {"row": 1, "col": 1}
    result.add_scatter(x=ends, y=chance, fillcolor=rgba(NEUTRAL, 0.35), name="by chance, 95 %", **band, **where)
    own = np.concatenate([record.high[at], record.low[at][::-1]])
    result.add_scatter(
        x=ends, y=own, fillcolor=rgba(COLOURS[0], 0.18), name="each row's 95 % interval", **band, **where
    )
    line = {"color": COLOURS[0], "width": 2}
    result.add_scatter(x=record.rank, y=record.value[at], mode="lines", line=line, name="rows", **where)
    dash = {"dash": "dash", "color": NEUTRAL, "width": 1.2}
    name = f"largest by chance (95 %): {record.chance:.2f}"
    result.add_scatter(x=[1, len(record)], y=[record.chance] * 2, mode="lines", line=dash, name=name, **where)
    result.update_xaxes(range=[-0.02 * len(record), len(record)], **where)
    result.update_yaxes(title_text="memorisation", range=[-1.02, 1.02], **where)


def _given_back(result: go.Figure, record: Memorization, column: int) -> None:
    hits = np.array([record.given_back, record.given_back_test])
    n = np.array([record.hard, record.hard_test])
    share = hits / np.maximum(n, 1)
    low, high = intervals.wilson(hits, n)
    names = [f"training<br>{hits[0]} of {n[0]}", f"test (control)<br>{hits[1]} of {n[1]}"]
    result.add_bar(
        x=names,
        y=share,
        marker={"color": [COLOURS[1], NEUTRAL]},
        error_y=errors(share, low, high),
        showlegend=False,
        width=0.5,
        row=1,
        col=column,
    )
    result.update_yaxes(range=[0, 1.05], row=1, col=column)


def _caption(record: Memorization, i: int) -> str:
    """The label of a row, and what most models that did not see it answer."""
    return f"{short(record.classes[record.label[i]], 20)}<br>others: {short(record.classes[record.answer[i]], 14)}"


def rows(record: Memorization) -> pd.DataFrame:
    """One training row a row, the most memorised first."""
    order = record.ranked
    names = np.array(record.classes)
    table = pd.DataFrame(
        {
            "training row": record.row[order],
            "label": names[record.label[order]],
            "most models without it": names[record.answer[order]],
            "right with it": record.right_inside[order],
            "models with it": record.inside[order],
            "right without it": record.right_outside[order],
            "models without it": record.outside[order],
            "memorisation": record.value[order],
            "low": record.low[order],
            "high": record.high[order],
            "beyond chance": record.value[order] > record.chance,
        }
    )
    sure = record.influence > record.influence_chance
    pairs = zip(record.influence_train[sure], record.influence_test[sure], record.influence[sure])
    helped = {int(row): (int(test), value) for row, test, value in reversed(list(pairs))}
    table["test row that it helps most, beyond chance"] = [
        helped.get(int(i), (None,))[0] for i in table["training row"]
    ]
    table["models with it are right there more often by"] = [
        helped.get(int(i), (0, None))[1] for i in table["training row"]
    ]
    if record.gives_label is not None:
        table["the model gives its label"] = record.gives_label[order]
    if record.texts:
        kept = dict(zip(record.shown.tolist(), record.texts))
        table["what it is"] = [kept.get(int(i), "") for i in order]
    return table


def says(record: Memorization) -> str:
    """What the audited model remembered beside its control; how many rows chance does not explain."""
    quarter = int(np.searchsorted(record.level, 0.25 - 1e-9))
    start = (
        f"{record.above} of {len(record):,} training rows are memorised by the {record.learner} beyond what chance shows of "
        f"any row ({number(record.chance)}), {record.rows_at[quarter]} by 0.25 or more where chance would show "
        f"{record.chance_at[quarter]:.0f}; on rows that {record.models} models saw they are right "
        f"{number(*record.mean)} more often than on rows that they did not see"
    )
    if not record.model:
        return f"{start}. A row that has to be remembered may be rare or wrongly labelled: this does not say which."
    told = _told(record)
    return f"{told} {start[0].upper()}{start[1:]}."


def _told(record: Memorization) -> str:
    if not record.hard or not record.hard_test:
        return (
            f"What {record.model} remembers was not measured because no row is answered wrongly by models without it."
        )
    value, low, high = record.remembered
    clear = "it remembers them" if low > 0 else "which shows no remembering"
    return (
        f"Of {record.hard} training rows that models without them get wrong, {record.model} gives {record.given_back} their "
        f"label, and of {record.hard_test} such test rows {record.given_back_test}: {less(-value, -high, -low)} often in training, {clear}."
    )
