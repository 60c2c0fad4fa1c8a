"""How an explanation looks: the map beside the input, beside the same method on random weights, and what it is worth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.intervals import clopper_pearson
from labkit.records.explain import Explanation
from labkit.views import _picture_and_words, _signals
from labkit.views._maps import GREY, key, limit, picture
from labkit.views._style import COLOURS, DASHES, DIVERGING, NEUTRAL, base

NOUNS = {
    "audio": "samples",
    "image": "pixels",
    "image+text": "pixel values and words",
    "series": "values",
    "text": "words",
}
IMAGES, ENTRIES, BARS = 4, 3, 12  # examples shown of images and of other inputs, and bars for each


def figure(record: Explanation) -> go.Figure:
    """Images: input, attribution, random-weights control and deletion curve, one example a row. Tables and text: the
    largest entries as bars, with the control beside. Image and text: both, but for the curve. Sound and series: lines
    over time. The control is scaled to the attribution's largest value."""
    if record.modality == "image+text":
        return _picture_and_words.figure(record)
    if record.modality in ("audio", "series"):
        return _signals.figure(record)
    return _images(record) if record.modality == "image" else _bars(record)


def rows(record: Explanation) -> pd.DataFrame:
    """One entry of one input a row: where it is, its value, its attribution, and the control's."""
    at = np.indices(record.x.shape).reshape(record.x.ndim, -1)
    table: dict[str, Any] = {"example": at[0], "target": np.array(record.classes)[record.target][at[0]]}
    if record.modality == "image+text":
        table |= _picture_and_words.places(record, at[1])
    elif record.modality == "image":
        table |= {"channel": at[1], "row": at[2], "column": at[3]}
    elif record.modality == "audio":
        table |= {"sample": at[1]}
    elif record.modality == "series":
        table |= {"channel": at[1], "step": at[2]}
    else:
        table |= {"position": at[1]} if record.x.ndim == 2 else {f"axis {i}": at[i] for i in range(1, record.x.ndim)}
        if record.names:
            table["feature"] = np.array(record.names)[at[1]]
        if record.texts:
            table["value"] = [text for texts in record.texts for text in texts]
    if "value" not in table:
        table["value"] = record.x.ravel()
    table["attribution"] = record.attribution.ravel()
    if record.control is not None:
        table["control"] = record.control.ravel()
    return pd.DataFrame(table)


def says(record: Explanation) -> str:
    """What the first-ranked entries have in common, and what speaks for and against the ranking."""
    n, noun = len(record), NOUNS.get(record.modality, "features")
    many = f"{n} example{'s' if n > 1 else ''}"
    deletion, parts = record.scores.get("deletion"), []
    if deletion is not None and not deletion.not_applicable:
        random = deletion.controls["random"].values
        lower = int((deletion.values < random).sum())
        low, high = clopper_pearson(lower, n)
        parts.append(
            f"removing them first leaves an area under the deletion curve of {deletion.values.mean():.2f} against "
            f"{random.mean():.2f} in random order (lower in {lower} of {n}, 95 % interval of the share {low:.2f} to "
            f"{high:.2f})"
        )
    for name, words in (
        ("planted_truth", "a planted truth is found to"),
        ("randomized_weights", "with random weights the map correlates"),
    ):
        score = record.scores.get(name)
        if score is not None and not score.not_applicable and np.isfinite(score.values).any():
            parts.append(f"{words} {np.nanmean(score.values):.2f}")
    worth = "; ".join(parts) or "no faithfulness measure was taken"
    return f"The {noun} that {record.method} ranks first for the target's score, {many}: {worth}."


def _images(record: Explanation) -> go.Figure:
    shown, control = min(IMAGES, len(record)), record.control
    deletion = record.scores.get("deletion")
    columns = ["input", "attribution", *(["random weights"] if control is not None else [])]
    maps, curves = len(columns) - 1, deletion is not None and not deletion.not_applicable
    columns += ["deletion"] if curves else []
    figure = make_subplots(
        shown + 1,
        len(columns),
        subplot_titles=[_heading(record, i, column) for i in range(shown) for column in columns],
        specs=[[{} for _ in columns]] * shown + [[None, {"colspan": maps}, *[None] * (len(columns) - 2)]],
        row_heights=[1.0] * shown + [0.08],
        horizontal_spacing=0.05,
        vertical_spacing=0.3 / (shown + 1),
    )
    figure.update_layout(base(f"{record.method}: input and attribution", height=150 + 190 * shown).layout)
    figure.update_annotations(font_size=12)
    for i in range(shown):
        picture(figure, record.x[i].mean(0), GREY, (i + 1, 1))
        for j, values in enumerate([record.attribution, control][:maps]):
            picture(figure, values[i].sum(0), DIVERGING, (i + 1, j + 2))  # type: ignore[index]
        if curves:
            _curves(figure, record, i, shown, len(columns))
    key(figure, shown + 1)
    return figure


def _heading(record: Explanation, i: int, column: str) -> str:
    if column == "input":
        return f"{record.classes[record.target[i]]}, {record.proba[i]:.2f}"
    if column == "attribution":
        return f"attribution, ±{limit(record.attribution[i].sum(0)):.2g}"
    if column == "deletion":
        return f"deletion, area {record.scores['deletion'].values[i]:.2f}"
    return f"random weights, r = {record.scores['randomized_weights'].values[i]:.2f}"


def _curves(figure: go.Figure, record: Explanation, i: int, shown: int, column: int) -> None:
    """The target's probability as the first-ranked pixels go, for the method and in random order."""
    deletion = record.scores["deletion"]
    curves = {record.method: deletion.more["curve"][i], "random order": deletion.controls["random"].more["curve"][i]}
    for j, (name, curve) in enumerate(curves.items()):
        figure.add_scatter(
            x=np.linspace(0, 1, len(curve)),
            y=curve,
            mode="lines",
            name=f"deletion: {name}",
            line={"color": COLOURS[0] if j == 0 else NEUTRAL, "dash": DASHES[j]},
            showlegend=i == 0,
            row=i + 1,
            col=column,
        )
    title = "share of pixels removed" if i + 1 == shown else None
    figure.update_xaxes(title_text=title, row=i + 1, col=column)
    figure.update_yaxes(range=[0, 1.02], row=i + 1, col=column)


def _bars(record: Explanation) -> go.Figure:
    shown, control = min(ENTRIES, len(record)), record.control
    maps = record.attribution.reshape(len(record), -1)
    count = min(BARS, maps.shape[1])
    titles = [f"{record.classes[record.target[i]]}, {record.proba[i]:.2f}" for i in range(shown)]
    figure = make_subplots(shown, 1, subplot_titles=titles, vertical_spacing=0.3 / (shown + 1))
    height = 110 + shown * (50 + 22 * count)
    figure.update_layout(base(f"{record.method}: largest contributions", height=height).layout, barmode="group")
    for i in range(shown):
        order = [p for p in np.argsort(-np.abs(maps[i]), kind="stable") if _label(record, i, p)][:count][::-1]
        labels = [_label(record, i, p) for p in order]
        series = {"attribution": maps[i]}
        if control is not None:
            other = control[i].ravel()
            series["random weights, scaled"] = other * (limit(maps[i]) / limit(other))
        for j, (name, values) in reversed(list(enumerate(series.items()))):
            figure.add_bar(
                y=labels,
                x=values[order],
                orientation="h",
                name=name,
                marker_color=COLOURS[0] if j == 0 else NEUTRAL,
                showlegend=i == 0,
                row=i + 1,
                col=1,
            )
        figure.update_xaxes(zeroline=True, row=i + 1, col=1)
    figure.update_xaxes(title_text=f"contribution to the target's score, by {record.method}", row=shown, col=1)
    return figure


def _label(record: Explanation, i: int, position: int) -> str:
    """An entry in the reader's words, unlike any other's; "" for padding."""
    text = record.texts[i][position] if record.texts else f"{record.x[i].ravel()[position]:g}"
    if record.names:
        return f"{record.names[position]} = {text}"
    return f"{text} · {position + 1}" if text else ""
