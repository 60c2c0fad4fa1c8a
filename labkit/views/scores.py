"""How scores look: where each group's scores lie."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.intervals import wilson
from labkit.records.scores import Scores
from labkit.views._style import COLOURS, DASHES, base

POINTS, MOST = 200, 6


def figure(record: Scores) -> go.Figure:
    """The share of people up to each score, one curve a group of the first sensitive feature, the largest six."""
    feature = next(iter(record.groups), None)
    by = f" by {feature}" if feature else ""
    result = base(f"{record.name}{by}, {len(record)} people", x=record.name, y="share of people up to it", height=420)
    for i, (group, values) in enumerate(_parts(record, feature)):
        share = np.linspace(0, 1, min(POINTS, len(values)))
        result.add_scatter(
            x=np.quantile(values, share),
            y=share,
            mode="lines",
            name=f"{group} (n = {len(values)})",
            line={"color": COLOURS[i], "dash": DASHES[i]},
        )
    result.update_layout(showlegend=True)
    return result


def _parts(record: Scores, feature: str | None) -> list[tuple[str, np.ndarray]]:
    if feature is None:
        return [("all", record.value)]
    groups, sizes = np.unique(record.groups[feature], return_counts=True)
    largest = groups[np.argsort(-sizes, kind="stable")[:MOST]]
    return [(str(g) or "unknown", record.value[record.groups[feature] == g]) for g in largest]


def rows(record: Scores) -> pd.DataFrame:
    """One person a row: the score, the true value where known, groups."""
    table = pd.DataFrame({record.name: record.value})
    if record.y is not None:
        table["y"] = record.y
    return table.assign(**dict(record.groups))


def says(record: Scores) -> str:
    """Where the scores lie: their median with its 95 % interval, the quantiles at the ends of the interval of one half
    (Woodruff, 1952, doi 10.1080/01621459.1952.10483443), and their range."""
    n = len(record)
    low, high = wilson(n / 2, n)
    below, middle, above = np.quantile(record.value, [low, 0.5, high])
    return (
        f"Of {n} people half have {record.name} of at most {middle:.4g} ({below:.4g} to {above:.4g}); scores run from "
        f"{record.value.min():.4g} to {record.value.max():.4g}."
    )
