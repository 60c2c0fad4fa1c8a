"""How an explanation looks: the map beside the input, beside the same method on random weights, and what it is worth."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.intervals import clopper_pearson, mean
from labkit.core.words import number
from labkit.records.explain import Explanation
from labkit.views import _bars, _picture_and_words, _signals
from labkit.views._deletion import curve, deletion, title
from labkit.views._entries import entries
from labkit.views._maps import GREY, heading, key, limit, maps, picture
from labkit.views._style import DIVERGING, base

NOUNS = {
    "audio": "samples",
    "image": "pixels",
    "image+text": "pixel values and words",
    "series": "values",
    "text": "words",
}
IMAGES = 4  # examples shown


def figure(record: Explanation) -> go.Figure:
    """One example a row. Images: input, attribution, random-weights control. Tables: the largest columns as bars, with
    the control beside; a text's words also in their order. Sound and series: lines over time. At the end the deletion
    curve; image and text have the parts of both, but for the curve. The control is scaled to the attribution's largest value. What was withheld is not
    drawn: the reason stands in its place."""
    if record.status == "not_measured":
        return _withheld(record)
    record = record.shown()
    if record.modality == "image+text":
        return _picture_and_words.figure(record)
    if record.modality in ("audio", "series"):
        return _signals.figure(record)
    return _images(record) if record.modality == "image" else _bars.figure(record)


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
            table["baseline"] = record.baseline.ravel()
        if record.texts:
            table["value"] = [text for texts in record.texts for text in texts]
        if record.features is not None or record.modality == "text":
            table["part_of"] = _parts(record)
    if "value" not in table:
        table["value"] = record.x.ravel()
    table["attribution"] = record.attribution.ravel()
    if record.standard_error is not None:
        table["standard_error"] = record.standard_error.ravel()
    table |= {name: values.ravel() for name, values in record.beside.items()}
    if record.control is not None:
        table["control"] = record.control.ravel()
    return pd.DataFrame(table)


def says(record: Explanation) -> str:
    """What the first-ranked entries have in common, and what speaks for and against the ranking."""
    hidden, record = int(record.withheld.sum()), record.shown()
    n, noun = len(record), NOUNS.get(record.modality, "features")
    many = f"{n} example{'s' if n > 1 else ''}" + (f" ({hidden} more withheld)" if hidden else "")
    removed, parts = deletion(record), []
    if removed is not None:
        random = removed.controls["random"].values
        lower = int((removed.values < random).sum())
        low, high = clopper_pearson(lower, n)
        parts.append(
            f"removing them first leaves an area under the deletion curve of {removed.values.mean():.2f} against "
            f"{random.mean():.2f} in random order (lower in {lower} of {n}, 95 % interval of the share {low:.2f} to "
            f"{high:.2f})"
        )
    planted, forgot = (_known(record, name) for name in ("planted_truth", "randomized_weights"))
    if len(planted):
        parts.append(f"a planted truth is found to {number(float(planted.mean()), *mean(planted))} on average")
    if len(forgot):
        parts.append(f"with random weights the map correlates {np.median(forgot):.2f} (median of {len(forgot)})")
    worth = "; ".join(parts) or "no faithfulness measure was taken"
    what = "the target's score" if record.of == "logit" else f"the target's {record.of}"
    if np.isnan(record.proba).all() and len(record.classes) == 1:
        what = f"the number {record.classes[0]}"
    return f"The {noun} that {record.method} ranks first for {what}, {many}: {worth}.{_sampled(record)}"


def _known(record: Explanation, name: str) -> np.ndarray:
    """A measure's values where it applies and could be taken."""
    score = record.scores.get(name)
    return np.zeros(0) if score is None or score.not_applicable else score.values[np.isfinite(score.values)]


def _sampled(record: Explanation) -> str:
    """How well the draws of a method that samples pin its values down."""
    if record.standard_error is None or not record.standard_error.any():
        return ""
    largest = np.abs(record.attribution).reshape(len(record), -1).max(1)
    error = record.standard_error.reshape(len(record), -1).max(1) / np.maximum(largest, 1e-12)
    return f" Its values have standard errors of at most {error.max():.1%} of the largest value of their example."


def _parts(record: Explanation) -> list[str]:
    """For each entry the feature or word that it is part of, without its value; "" for padding."""
    found = []
    for i in range(len(record)):
        parts = entries(record, i)
        found += [parts.words[owner] if owner >= 0 else "" for owner in parts.owner]
    return found


def _withheld(record: Explanation) -> go.Figure:
    """An empty figure that says why."""
    result = base(f"{record.method}: withheld", height=200)
    lines = textwrap.wrap(record.reason, 90)
    result.add_annotation(text="<br>".join(lines), x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    return result.update_xaxes(visible=False).update_yaxes(visible=False)


def _images(record: Explanation) -> go.Figure:
    shown, drawn = min(IMAGES, len(record)), maps(record)
    curves = deletion(record) is not None
    columns = ["input", *drawn, *(["deletion"] if curves else [])]
    figure = make_subplots(
        shown + 1,
        len(columns),
        subplot_titles=[_heading(record, i, column) for i in range(shown) for column in columns],
        specs=[[{} for _ in columns]] * shown + [[None, {"colspan": len(drawn)}, *[None] * (len(columns) - 2)]],
        row_heights=[1.0] * shown + [0.08],
        horizontal_spacing=0.05,
        vertical_spacing=0.3 / (shown + 1),
    )
    figure.update_layout(base(f"{record.method}: input and attribution", height=150 + 190 * shown).layout)
    figure.update_annotations(font_size=12)
    for i in range(shown):
        picture(figure, record.x[i].mean(0), GREY, (i + 1, 1))
        for j, values in enumerate(drawn.values()):
            picture(figure, values[i].sum(0), DIVERGING, (i + 1, j + 2))
        if curves:
            curve(figure, record, i, "pixels", (i + 1, len(columns)), last=i + 1 == shown)
    key(figure, shown + 1)
    return figure


def _heading(record: Explanation, i: int, column: str) -> str:
    if column == "input":
        return heading(record, i)
    if column in ("attribution", *record.beside):
        return f"{column.replace('_', ' ')}, ±{limit(maps(record)[column][i].sum(0)):.2g}"
    if column == "deletion":
        return title(record, i)
    return f"random weights, r = {record.scores['randomized_weights'].values[i]:.2f}"
