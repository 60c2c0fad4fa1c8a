"""How attributions look beside one another: three matrices, of shared positions, shared signs and rank correlations."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.intervals import mean
from labkit.core.words import number, spoken
from labkit.records.agreement import Agreement
from labkit.views._style import DIVERGING, base


def figure(record: Agreement) -> go.Figure:
    """Means over the examples; the last row and column are a random map."""
    measures = {f"top {record.share:.0%} shared": record.top, "with the same sign": record.sign, "rank": record.rank}
    names = [spoken(name) for name in record.methods]
    result = make_subplots(1, 3, subplot_titles=list(measures), shared_yaxes=True, horizontal_spacing=0.04)
    heading = f"agreement of attributions of {record.model}, {len(record)} examples"
    result.update_layout(base(heading, height=240 + 40 * len(names)).layout)
    for column, values in enumerate(measures.values(), 1):
        middle = _middle(values)
        result.add_heatmap(
            z=middle,
            x=names,
            y=names,
            zmin=-1,
            zmax=1,
            colorscale=DIVERGING,
            showscale=column == 3,
            text=[["" if np.isnan(v) else f"{v:.2f}" for v in row] for row in middle],
            texttemplate="%{text}",
            row=1,
            col=column,
        )
    result.update_yaxes(autorange="reversed")
    result.update_layout(margin={"l": 160, "b": 140})
    return result


def rows(record: Agreement) -> pd.DataFrame:
    """A pair of methods a row: what they share, with 95 % intervals over the examples."""
    found = []
    for i, j in combinations(range(len(record.methods)), 2):
        row: dict[str, object] = {"method": record.methods[i], "other": record.methods[j], "examples": len(record)}
        for name, values in (("top", record.top), ("sign", record.sign), ("rank", record.rank)):
            known = values[:, i, j][np.isfinite(values[:, i, j])]
            low, high = mean(known)
            row |= {name: known.mean() if len(known) else np.nan, f"{name} low": low, f"{name} high": high}
        found.append(row)
    return pd.DataFrame(found)


def says(record: Agreement) -> str:
    """How the rankings correlate on average over the pairs, which agree least, and what a random map does."""
    rank, count = _middle(record.rank), len(record.methods) - 1
    pairs = [pair for pair in record.pairs() if np.isfinite(rank[pair])]
    if not pairs:
        return f"No two of {count} maps can be ranked on these {len(record)} examples."
    each = np.array([[values[pair] for pair in pairs] for values in record.rank])
    overall = np.array([row[np.isfinite(row)].mean() for row in each if np.isfinite(row).any()])
    least = min(pairs, key=lambda pair: rank[pair])
    names = [spoken(record.methods[i]) for i in least]
    return (
        f"The rankings of {count} methods correlate by {number(overall.mean(), *mean(overall))} on average over "
        f"{len(pairs)} pairs and {len(record)} examples, those of {names[0]} and {names[1]} by {rank[least]:.2f}; with a "
        f"random map by {np.nanmean(rank[:-1, -1]):.2f}."
    )


def _middle(values: np.ndarray) -> np.ndarray:
    """(methods, methods) the mean over the examples where there is one; nan where there is none."""
    known = np.isfinite(values)
    total, count = np.where(known, values, 0).sum(0), known.sum(0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
