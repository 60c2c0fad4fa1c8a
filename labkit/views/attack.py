"""How an attack looks: rows before, after, and the difference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.intervals import clopper_pearson
from labkit.records.attack import Adversarial, in_words
from labkit.views._signals import line
from labkit.views._style import COLOURS, DIVERGING, NEUTRAL, base

SHOWN = 4
GREY = [[0, "#111111"], [1, "#ffffff"]]


def figure(record: Adversarial) -> go.Figure:
    """The first rows that were right without the attack: before, after, and what was added, with the answers; for words
    and tables, how many rows broke by how much change."""
    if record.changes:
        return _reach(record)
    chosen = (np.flatnonzero(record.correct) if record.correct.any() else np.arange(len(record)))[:SHOWN]
    titles = [text for i in chosen for text in _titles(record, i)]
    result = make_subplots(
        len(chosen), 3, subplot_titles=titles, horizontal_spacing=0.04, vertical_spacing=0.24 / max(len(chosen), 1)
    )
    about = f"{record.attack}, {in_words(record.norm)}{'' if record.eps is None else f' eps {record.eps:g}'}"
    result.update_layout(base(about, height=90 + 200 * len(chosen)).layout)
    result.update_annotations(font_size=12)
    if record.x.ndim == 2:
        return _lines(result, record, chosen)
    for row, i in enumerate(chosen, start=1):
        before, after = _flat(record.x[i]), _flat(record.adversarial[i])
        low, high = float(min(before.min(), after.min())), float(max(before.max(), after.max()))
        limit = float(np.abs(after - before).max()) or 1.0
        _map(result, before, (row, 1), colorscale=GREY, zmin=low, zmax=high)
        _map(result, after, (row, 2), colorscale=GREY, zmin=low, zmax=high)
        _map(result, after - before, (row, 3), colorscale=DIVERGING, zmin=-limit, zmax=limit)
    return result


def rows(record: Adversarial) -> pd.DataFrame:
    """One example a row: class, answers before and after, success, and how far or what was changed."""
    classes = np.array([*record.classes, "(not finite)"])
    table = {
        "example": np.arange(len(record)),
        "class": classes[record.y],
        "answer before": classes[record.clean],
        "answer after": classes[record.label],
        "success": record.success,
    }
    if record.changes:
        return pd.DataFrame({**table, in_words(record.norm): record.distance, "changes": record.changes})
    far = {} if record.norm in ("linf", "l2") else {in_words(record.norm): record.distance}
    return pd.DataFrame({**table, "survives rounding": record.stored, "linf": record.linf, "l2": record.l2, **far})


def says(record: Adversarial) -> str:
    """Both numbers: success among the rows that were right, and the bound on robust accuracy over all rows."""
    right, broken, n = int(record.correct.sum()), int(record.success.sum()), len(record)
    low, high = (float(end) for end in clopper_pearson(round(record.robust_accuracy * n), n))
    budget = "without a budget" if record.eps is None else f"at {in_words(record.norm)} eps {record.eps:g}"
    text = (
        f"{record.attack} broke {broken} of the {right} rows that were right ({100 * record.success_rate:.0f} %) {budget}: "
        f"robust accuracy at most {record.robust_accuracy:.2f} ({low:.2f} to {high:.2f}, n = {n})"
    )
    far = record.distance[record.success]
    if broken and np.isfinite(far).all():
        text += f"; median distance of the broken rows {np.median(far):.3g}"
        if record.norm == "noise_to_signal":
            text += f" (a signal-to-noise ratio of {-20 * np.log10(max(np.median(far), 1e-12)):.1f} dB)"
    return f"{text}, and {int(record.stored.sum())} of {broken} survive storage." if record.levels else f"{text}."


def _reach(record: Adversarial) -> go.Figure:
    """How many of the rows that were right broke by how much change."""
    about = f"{record.attack}, {in_words(record.norm)}{'' if record.eps is None else f' up to {record.eps:g}'}"
    result = base(about, x=f"{in_words(record.norm)}, at most", y="rows broken", height=380)
    far = np.sort(record.distance[record.success])
    changes = [record.changes[i] for i in np.flatnonzero(record.success)[np.argsort(record.distance[record.success])]]
    x, y = np.append([0.0], far), np.arange(len(far) + 1)
    line = {"color": COLOURS[0], "shape": "hv", "width": 2}
    hover = "%{text}<extra></extra>"
    text = ["", *[c[:120] for c in changes]]
    result.add_scatter(x=x, y=y, text=text, mode="lines+markers", line=line, hovertemplate=hover, name="rows broken")
    result.add_hline(y=int(record.correct.sum()), line={"dash": "dot", "color": NEUTRAL, "width": 1})
    result.update_yaxes(range=[0, int(record.correct.sum()) * 1.05])
    return result


def _titles(record: Adversarial, i: int) -> tuple[str, str, str]:
    after = record.classes[record.label[i]] if record.label[i] >= 0 else "no finite answer"
    return (
        f"before: {record.classes[record.clean[i]]}",
        f"after: {after}" if record.success[i] else f"after: still {after}",
        f"difference, ±{np.abs(record.adversarial[i] - record.x[i]).max():.2g}",
    )


def _lines(result: go.Figure, record: Adversarial, chosen: np.ndarray) -> go.Figure:
    """Rows of values such as sound, as lines over their places."""
    for row, i in enumerate(chosen, start=1):
        before, after = record.x[i], record.adversarial[i]
        for col, values in enumerate((before, after, after - before), start=1):
            line(result, values, (row, col), COLOURS[col > 2], "value")
    return result


def _flat(x: np.ndarray) -> np.ndarray:
    """An input as one map: the mean over channels of an image; of a series its channels as rows."""
    return x.mean(0) if x.ndim == 3 else x


def _map(figure: go.Figure, values: np.ndarray, at: tuple[int, int], **colours: Any) -> None:
    row, col = at
    hover = "row %{y}, column %{x}: %{z:.3g}<extra></extra>"
    figure.add_trace(go.Heatmap(z=values, showscale=False, hovertemplate=hover, **colours), row=row, col=col)
    beside = figure.get_subplot(row, col).yaxis.anchor
    figure.update_xaxes(visible=False, constrain="domain", row=row, col=col)
    square = {"scaleanchor": beside} if len(values) > 1 else {}
    figure.update_yaxes(visible=False, autorange="reversed", constrain="domain", row=row, col=col, **square)
