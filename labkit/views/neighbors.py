"""How neighbors look: pictures beside the input's, or how far each is; and how often they have its label."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.words import lead, number
from labkit.records.neighbors import Neighbors
from labkit.views._gallery import gallery, short
from labkit.views._style import COLOURS, MARKERS, base

LINES = 6


def figure(record: Neighbors) -> go.Figure:
    """Images: each input and its neighbors, nearest first, with the label and, behind an arrow, the model's answer where
    it is another. Others: how far each neighbor is, by whether it has the input's label."""
    title = f"Nearest training examples at {record.layer}: {number(*record.hit)} of them have the label"
    if record.pictures is None or record.neighbor_pictures is None:
        return _distances(record, title)
    lines = []
    for i in range(min(LINES, len(record.pictures))):
        own: tuple[str, Any] = (f"▸ {_named(record, record.label[i], record.predicted[i])}", record.pictures[i])
        near = zip(record.neighbor_label[i], record.neighbor_predicted[i], record.neighbor_pictures[i])
        lines.append([own, *((_named(record, y, answer), image) for y, answer, image in near)])
    return gallery(title, lines)


def _named(record: Neighbors, label: int, answer: int) -> str:
    name = record.classes[label]
    return name if answer == label else f"{name} → {record.classes[answer]}"


def _distances(record: Neighbors, title: str) -> go.Figure:
    shown = min(3 * LINES, len(record))
    result = base(title, x=f"{record.metric} distance", height=130 + 26 * shown)
    same = record.neighbor_label[:shown] == record.label[:shown, None]
    place = np.broadcast_to(np.arange(shown)[:, None], same.shape)
    for look, (name, where) in enumerate({"has the label": same, "has another": ~same}.items()):
        result.add_scatter(
            x=record.distance[:shown][where],
            y=place[where],
            mode="markers",
            name=name,
            marker={"size": 9, "color": COLOURS[look], "symbol": MARKERS[look]},
            customdata=np.array(record.classes)[record.neighbor_label[:shown][where]],
            hovertemplate="%{x:.3g}: %{customdata}<extra></extra>",
        )
    names = [short(t, 40) for t in record.texts[:shown]] or [f"example {i}" for i in range(shown)]
    texts = [f"{name} · {record.classes[c]}" for name, c in zip(names, record.label)]
    result.update_yaxes(tickvals=list(range(shown)), ticktext=texts, range=[shown - 0.4, -0.6])
    result.update_layout(margin={"l": 330 if record.texts else 150})
    return result


def rows(record: Neighbors) -> pd.DataFrame:
    """One neighbor of one example a row: by the layer's features and, in the last columns, by the inputs."""
    n, k = record.index.shape
    classes = np.array(record.classes)
    at, rank = np.divmod(np.arange(n * k), k)
    table: dict[str, Any] = {
        "example": at,
        "label": classes[record.label][at],
        "predicted": classes[record.predicted][at],
        "rank": rank + 1,
        "neighbor": record.index.ravel(),
        "distance": record.distance.ravel(),
        "its label": classes[record.neighbor_label].ravel(),
        "the model's answer to it": classes[record.neighbor_predicted].ravel(),
    }
    if record.neighbor_texts:
        table["text"] = [text for texts in record.neighbor_texts for text in texts]
    if record.credibility is not None:
        table["credibility of the prediction"] = record.credibility[at]
    table[f"neighbor by {record.space}"] = record.input_index.ravel()
    table["label of that"] = classes[record.input_label].ravel()
    return pd.DataFrame(table)


def says(record: Neighbors) -> str:
    """How often neighbors have the label, beside neighbors by the inputs and chance."""
    k, n = record.index.shape[1], len(record)
    held = "true class" if record.true else "class that the model answers"
    gain, low, high = record.gain
    unclear = ", which may be chance" if low <= 0 <= high else ""
    return (
        f"Of the {k} nearest of {record.among:,} training examples at {record.layer} a share of {number(*record.hit)} has "
        f"the {held} of the input, over {n} inputs; by {record.space} {number(*record.input_hit)} "
        f"(chance {number(record.chance)}): the layer is {lead(gain, low, high)}{unclear}."
    )
