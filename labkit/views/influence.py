"""How influence looks: the training examples that an answer rests on and those against it; and who finds wrong labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.words import number
from labkit.records.influence import Influence
from labkit.views._gallery import gallery, short
from labkit.views._style import COLOURS, MARKERS, base

LINES, EACH = 5, 4


def figure(record: Influence) -> go.Figure:
    """Images: each example, its proponents and then its opponents, the strongest first. Others: influence as dots."""
    title = "Training examples that lower (+) and raise (−) the loss most"
    if record.pictures is None or record.proponent_pictures is None or record.opponent_pictures is None:
        return _dots(record, title)
    lines = []
    for i in range(min(LINES, len(record.pictures))):
        line: list[Any] = [(f"▸ {record.classes[record.label[i]]}", record.pictures[i])]
        for sign, (index, images) in {
            "+": (record.proponent_label, record.proponent_pictures),
            "−": (record.opponent_label, record.opponent_pictures),
        }.items():
            line += [(f"{sign} {record.classes[c]}", image) for c, image in zip(index[i][:EACH], images[i])]
        lines.append(line)
    return gallery(title, lines)


def _dots(record: Influence, title: str) -> go.Figure:
    shown = min(3 * LINES, len(record))
    result = base(title, x="influence: loss that one step takes away", height=130 + 26 * shown)
    sides = {"proponents": record.proponent_value, "opponents": record.opponent_value}
    for look, (name, values) in enumerate(sides.items()):
        place = np.broadcast_to(np.arange(shown)[:, None], values[:shown].shape)
        marker = {"size": 9, "color": COLOURS[look], "symbol": MARKERS[look]}
        result.add_scatter(x=values[:shown].ravel(), y=place.ravel(), mode="markers", name=name, marker=marker)
    names = [short(t, 40) for t in record.texts[:shown]] or [f"example {i}" for i in range(shown)]
    texts = [f"{name} · {record.classes[c]}" for name, c in zip(names, record.label)]
    result.update_yaxes(tickvals=list(range(shown)), ticktext=texts, range=[shown - 0.4, -0.6])
    result.update_layout(margin={"l": 330 if record.texts else 150})
    return result


def rows(record: Influence) -> pd.DataFrame:
    """One proponent or opponent of one example a row."""
    tables = []
    classes = np.array(record.classes)
    sides = (
        ("proponent", record.proponent, record.proponent_value, record.proponent_label, record.proponent_texts),
        ("opponent", record.opponent, record.opponent_value, record.opponent_label, record.opponent_texts),
    )
    for kind, index, value, label, texts in sides:
        n, k = index.shape
        at, rank = np.divmod(np.arange(n * k), k)
        table = pd.DataFrame(
            {
                "example": at,
                "label": classes[record.label][at],
                "predicted": classes[record.predicted][at],
                "kind": kind,
                "rank": rank + 1,
                "training example": index.ravel(),
                "its label": classes[label].ravel(),
                "influence": value.ravel(),
                "its influence on itself": record.own[index].ravel(),
            }
        )
        if texts:
            table["text"] = [text for line in texts for text in line]
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def says(record: Influence) -> str:
    """How concentrated influence is, and whether it finds the wrong labels that are known."""
    size = np.sort(np.abs(record.own))[::-1]
    top = size[: max(1, len(size) // 100)].sum() / max(size.sum(), 1e-300)
    states = "the model as it is" if record.checkpoints == 1 else f"{record.checkpoints} checkpoints"
    start = (
        f"By {states}, one in a hundred of {record.trained:,} training examples makes up {100 * top:.0f} % of all their "
        "influence on themselves"
    )
    if not record.mislabeled:
        return f"{start}; whether influence finds wrong labels was not measured because none are known to be wrong."
    return (
        f"{start}; influence on itself ranks the {record.mislabeled:,} wrong labels over the others with an area under the "
        f"curve of {number(*record.found, digits=3)}, the plain loss with {number(*record.found_by_loss, digits=3)} "
        "(chance 0.5)."
    )
