"""How two training runs look side by side: what became of each measure, and which settings differ."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.words import number, spoken
from labkit.records.compare_recipes import RecipeComparison
from labkit.views._forest import span
from labkit.views._style import COLOURS, MARKERS, base, errors

SAID = 6  # settings that fit in a sentence


def figure(record: RecipeComparison) -> go.Figure:
    """Each shared measure of both models with its 95 % interval."""
    count = len(record.measures)
    result = base(f"What became of {' and '.join(record.models)}", x="value", height=170 + 56 * count)
    for i, name in enumerate(record.models):
        value, low, high = record.score[i], record.low[i], record.high[i]
        result.add_scatter(
            x=value,
            y=np.arange(count) + 0.16 * (2 * i - 1),
            mode="markers",
            error_x=errors(value, np.where(np.isnan(low), value, low), np.where(np.isnan(high), value, high)),
            marker={"size": 10, "color": COLOURS[i], "symbol": MARKERS[i]},
            name=name,
        )
    if count:
        result.update_xaxes(range=span(record.score, record.low, record.high))
    labels = [f"{_short(m)} (n = {record.n[0, j]:,.0f})" for j, m in enumerate(record.measures)]
    result.update_yaxes(tickvals=list(range(count)), ticktext=labels, range=[count - 0.5, -0.5])
    result.update_layout(margin={"l": 290}, legend_y=-0.35)
    return result


def _short(text: str) -> str:
    return text if len(text) <= 36 else text[:35] + "…"


def rows(record: RecipeComparison) -> pd.DataFrame:
    """One setting that differs, or one measure, a row, with both models' values."""
    settings = [("setting", spoken(s), a, b) for s, a, b in zip(record.settings, record.first, record.second)]
    told = [
        ("measure", m, *(number(*(getattr(record, k)[i, j] for k in ("score", "low", "high"))) for i in (0, 1)))
        for j, m in enumerate(record.measures)
    ]
    return pd.DataFrame([*settings, *told], columns=["kind", "what", *record.models])


def says(record: RecipeComparison) -> str:
    """Whether the data were the same, which settings differ, and what became of the first measure."""
    first, second = record.models
    data = (
        f"{first} and {second} were trained on the same {record.trained_on[0]:,} examples under the same labels"
        if record.same_data
        else f"{first} was trained on {record.trained_on[0]:,} examples and {second} on {record.trained_on[1]:,} others"
    )
    changed = [f"{spoken(s)} {b} instead of {a}" for s, a, b in zip(record.settings, record.first, record.second)]
    more = f" and {len(changed) - SAID} more" if len(changed) > SAID else ""
    how = (
        f"{second} differs in {len(changed)} settings: {', '.join(changed[:SAID])}{more}"
        if changed
        else "no setting differs"
    )
    if not record.measures:
        return f"{data}; {how}."
    came = "; ".join(
        f"{m} {number(record.score[0, j], record.low[0, j], record.high[0, j])} became "
        f"{number(record.score[1, j], record.low[1, j], record.high[1, j])}"
        for j, m in enumerate(record.measures[:2])
    )
    return f"{data}; {how}. What became of it: {came}."
