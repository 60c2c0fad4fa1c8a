"""How counterfactual fairness looks: the whole change, its paths, and what the graph's edges and chance make of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import number, share
from labkit.records.counterfactual_fairness import CounterfactualFairness
from labkit.views._forest import band, mark, span
from labkit.views._style import COLOURS, MARKERS, base, errors

EDGES = 8  # edges with a row of their own: those that matter most


def figure(record: CounterfactualFairness) -> go.Figure:
    """Left the share of people whose answer would differ, right the mean change of the probability, by the group that people
    are of: in all, by each path alone, and without each of the edges that matter most. The band is what comes through the
    graph for attributes dealt out at random."""
    edges = _edges(record)
    names = ["in all", *record.path, *(f"without {record.edges[e]}" for e in edges)]
    count = len(names)
    result = make_subplots(
        1, 2, shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=["people answered otherwise", "mean change"]
    )
    title = f"had {record.attribute} been the other one, under the stated graph (n = {record.n.sum():,})"
    result.update_layout(base(title, height=180 + 30 * count).layout, margin={"l": 250, "r": 20})
    result.update_layout(legend={"y": -80 / (80 + 30 * count)})
    result.update_yaxes(
        tickvals=list(range(count)), ticktext=names, range=[count - 0.4, -0.6], zeroline=False, showgrid=False
    )
    nan = np.full(len(edges), np.nan)
    for g, (group, n) in enumerate(zip(record.groups, record.n)):
        shares = np.concatenate([[record.share[g]], record.path_share[:, g], record.edge_share[edges, g]])
        ends = [[record.share_low[g], record.share_high[g]], *[[np.nan, np.nan]] * (count - 1)]
        _points(result, shares, np.array(ends, float).T, g, f"{group} (n = {n:,})", 1)
        shifts = np.concatenate([[record.shift[g]], record.path_shift[:, g], record.edge_shift[edges, g]])
        low, high = (
            np.concatenate([[whole[g]], paths[:, g], nan])
            for whole, paths in ((record.shift_low, record.path_low), (record.shift_high, record.path_high))
        )
        _points(result, shifts, np.array([low, high]), g, group, 2)
    chance = float(record.null_share.max()), float(np.abs(record.null_shift).max())
    for col, left, right in ((1, 0.0, chance[0]), (2, -chance[1], chance[1])):
        band(result, (left, right), (0, count - 1), row=1, col=col)
    mark(result, 0.0, count, "dot", row=1, col=2)
    far = span(
        record.shift_low, record.shift_high, record.path_low, record.path_high, record.edge_shift, 0.0, chance[1]
    )
    wide = span(record.share_high, record.path_share, record.edge_share, chance[0], 0.0)
    result.update_xaxes(title_text="share, 95 % interval", range=wide, row=1, col=1)
    result.update_xaxes(title_text=f"probability of {record.positive}", range=far, row=1, col=2)
    return result


def _edges(record: CounterfactualFairness) -> np.ndarray:
    """The edges without which the whole change differs most."""
    if not len(record.edge_shift):
        return np.zeros(0, int)
    off = np.abs(record.edge_shift - record.shift).max(1)
    return np.argsort(-off, kind="stable")[:EDGES]


def _points(result: go.Figure, value: np.ndarray, ends: np.ndarray, g: int, name: str, col: int) -> None:
    low, high = (np.where(np.isfinite(end), end, value) for end in ends)
    result.add_scatter(
        x=value,
        y=np.arange(len(value)) + (0.14 if g else -0.14),
        mode="markers",
        name=name,
        legendgroup=str(g),
        showlegend=col == 1,
        error_x=errors(value, low, high),
        marker={"size": 8, "color": COLOURS[g], "symbol": MARKERS[g]},
        text=[number(v, a, b, digits=3) for v, a, b in zip(value, *ends)],
        hoverinfo="text",
        row=1,
        col=col,
    )


def rows(record: CounterfactualFairness) -> pd.DataFrame:
    """The whole, each path, each edge left out and each placebo, by group: share answered otherwise and mean change."""
    found = []
    for g, group in enumerate(record.groups):
        own = {"people of": group, "n": record.n[g]}
        whole = {"share": record.share[g], "share low": record.share_low[g], "share high": record.share_high[g]}
        ends = {"mean change": record.shift[g], "low": record.shift_low[g], "high": record.shift_high[g]}
        found.append({"what": "in all", **own, **whole, **ends})
        for k, path in enumerate(record.path):
            ends = {
                "mean change": record.path_shift[k, g],
                "low": record.path_low[k, g],
                "high": record.path_high[k, g],
            }
            found.append({"what": path, **own, "share": record.path_share[k, g], **ends})
        for name, shares, shifts in (
            ("without", record.edge_share[:, g], record.edge_shift[:, g]),
            ("placebo", record.null_share[:, g], record.null_shift[:, g]),
        ):
            names = record.edges if name == "without" else [str(k + 1) for k in range(len(shares))]
            for label, s, m in zip(names, shares, shifts):
                found.append({"what": f"{name} {label}", **own, "share": s, "mean change": m})
    return pd.DataFrame(found)


def says(record: CounterfactualFairness) -> str:
    """How many would be answered otherwise, through what, how far that hangs on single edges, and what is assumed."""
    g = record.worst
    group, other = record.groups[g], record.groups[1 - g]
    moved = share(record.share[g], record.share_low[g], record.share_high[g])
    change = number(record.shift[g], record.shift_low[g], record.shift_high[g], digits=3)
    parts = [
        f"Under the stated graph {moved} of {record.n[g]:,} people whose {record.attribute} is {group} would be answered otherwise "
        f"had they been {other}, {100 * record.promoted[g]:.1f} of 100 to {record.positive!r} and {100 * record.demoted[g]:.1f} "
        f"away from it; the probability of {record.positive} would change by {change} on average"
    ]
    if len(record.path) and record.path_shift[:, g].any():
        k = int(np.abs(record.path_shift[:, g]).argmax())
        alone = number(record.path_shift[k, g], record.path_low[k, g], record.path_high[k, g], digits=3)
        parts.append(f"most of it comes {_by(record.path[k])} ({alone} alone)")
    if len(record.edges):
        low, high = record.edge_share[:, g].min(), record.edge_share[:, g].max()
        parts.append(
            f"without one edge or another of the graph it would be {100 * low:.1f} to {100 * high:.1f} of 100, and an attribute "
            f"dealt out at random moves at most {100 * record.null_share[:, g].max():.1f} through the graph"
        )
    return "; ".join(parts) + f". Assumed, and not to be seen in the data: {'; '.join(record.assumed[:2])}."


def _by(path: str) -> str:
    return "from the model's reading the attribute itself" if path == "direct" else path
