"""How the sandwich looks: attacked above, certified below, and between them what nobody knows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.words import number
from labkit.records.attack import in_words
from labkit.records.sandwich import Sandwich
from labkit.views._style import COLOURS, MARKERS, NEUTRAL, base, rgba

WAYS = (("at_most", "at most (attacks)"), ("at_least", "at least (certificates)"))


def figure(record: Sandwich) -> go.Figure:
    """Both bounds against eps with their exact 95 % intervals; the gap between them is shaded."""
    eps = record.eps
    result = base(
        f"Certified ≤ true ≤ attacked, {len(record)} rows",
        x=f"budget eps ({in_words(record.norm)})",
        y="robust accuracy",
        height=420,
    )
    _band(result, eps, record.at_most, record.at_least, rgba(NEUTRAL, 0.25), "nothing is known")
    for i, (way, name) in enumerate(WAYS):
        low, high = record.interval(way)
        _band(result, eps, high, low, rgba(COLOURS[1 - i], 0.15), f"{name}, 95 % interval")
        line, marker = {"color": COLOURS[1 - i], "width": 3}, {"symbol": MARKERS[i], "size": 8}
        value = getattr(record, way)
        result.add_scatter(x=eps, y=value, mode="lines+markers", line=line, marker=marker, name=name)
    result.update_yaxes(range=[-0.02, 1.02])
    return result


def _band(result: go.Figure, x: np.ndarray, high: np.ndarray, low: np.ndarray, fill: str, name: str) -> None:
    result.add_scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        fill="toself",
        mode="lines",
        line={"width": 0},
        fillcolor=fill,
        name=name,
        hoverinfo="skip",
    )


def rows(record: Sandwich) -> pd.DataFrame:
    """One budget a row: both bounds with their intervals, and how many rows were neither certified nor broken."""
    parts = {"norm": record.norm, "eps": record.eps, "n": len(record)}
    for way, name in reversed(WAYS):
        low, high = record.interval(way)
        short = name.partition(" (")[0]
        parts |= {name: getattr(record, way), f"{short}: low": low, f"{short}: high": high}
    return pd.DataFrame({**parts, "unknown rows": record.unknown, "violated": int(record.violated.any(0).sum())})


def says(record: Sandwich) -> str:
    """Both bounds at the budget where they are furthest apart, and how many rows lie between."""
    at = int(record.unknown.argmax())
    ends = {way: record.interval(way) for way, _ in WAYS}
    most, least = (
        number(float(getattr(record, way)[at]), float(ends[way][0][at]), float(ends[way][1][at])) for way, _ in WAYS
    )
    return (
        f"Robust accuracy at {in_words(record.norm)} eps {record.eps[at]:g} is at least {least}, certified, and at most "
        f"{most}, attacked; nothing is known of {int(record.unknown[at])} of {len(record)} rows there, the widest gap of "
        "all budgets."
    )
