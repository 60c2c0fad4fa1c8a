"""How a surrogate looks: fidelity against depth, and what the model has that readable models have not."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from labkit.core.words import counted, lead, number
from labkit.records.surrogate import Surrogate
from labkit.views._style import COLOURS, NEUTRAL, base, errors


def figure(record: Surrogate) -> go.Figure:
    """The share of test rows on which trees of growing depth answer as the model does, with 95 % intervals, over the line
    of always giving the model's most frequent answer."""
    result = base(
        f"trees that answer for the model, {record.n} test rows", "depth of the tree", "answers as the model does"
    )
    result.add_scatter(
        x=record.depths,
        y=record.agreement,
        error_y=errors(record.agreement, record.agreement_low, record.agreement_high),
        mode="lines+markers",
        name="tree",
        line={"color": COLOURS[0]},
        marker={"size": 9},
        text=[f"{k} leaves" for k in record.leaves],
    )
    ends = [float(record.depths[0]), float(record.depths[-1])]
    result.add_scatter(
        x=ends,
        y=[record.majority] * 2,
        mode="lines",
        name="always the most frequent answer",
        line={"color": NEUTRAL, "dash": "dot"},
    )
    low = min(record.majority, float(record.agreement_low.min()))
    result.update_yaxes(range=[max(0.0, low - 0.05), 1.01])
    return result.update_xaxes(dtick=1)


def rows(record: Surrogate) -> pd.DataFrame:
    """One leaf of the deepest tree a row: its rule, its answer, the test rows in it, and how often the model says so."""
    return pd.DataFrame(
        {"rule": record.rules, "answer": record.answer, "test rows": record.covers, "model agrees": record.agrees}
    )


def says(record: Surrogate) -> str:
    """How far the deepest tree stands for the model, and what the model has over readable ones."""
    last = -1
    ends = record.agreement_low[last], record.agreement_high[last]
    alike = counted(round(record.agreement[last] * record.n), record.n, *ends, "test rows")
    return (
        f"A tree of {record.leaves[last]} leaves answers as the model does on {alike} "
        f"(always the most frequent answer: {number(record.majority)}), and explains {number(record.explained)} of the "
        f"variance of its probabilities. On the labels the model is "
        f"{lead(record.difference, record.difference_low, record.difference_high)} of the tree and "
        f"{lead(record.gap, record.gap_low, record.gap_high)} of the {record.glass_box}, in accuracy."
    )
