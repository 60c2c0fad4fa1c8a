"""How abstention looks: errors among the answers that remain, beside a confidence that says nothing; and by group."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.refused import unknown
from labkit.core.words import number, p_value, share
from labkit.records.abstention import Abstention
from labkit.views._style import COLOURS, DASHES, MARKERS, NEUTRAL, base, rgba


def figure(record: Abstention) -> go.Figure:
    """Risk against coverage with 95 % intervals, the band of a confidence that says nothing, the best order of these
    errors, and the rules that keep a wanted risk (with the bound that they keep)."""
    result = base(
        f"Errors among the most confident answers, {record.n} rows",
        x="coverage: share of rows that are answered",
        y="risk: errors among them",
        height=420,
    )
    x = record.kept / record.n
    _band(result, x, record.random_low, record.random_high, NEUTRAL, "confidence that says nothing, 95 %")
    _band(result, x, *record.interval(), COLOURS[0], "risk, 95 % interval")
    line = {"color": COLOURS[0], "width": 2}
    result.add_scatter(x=x, y=record.wrong / record.kept, mode="lines", line=line, name="risk")
    best = np.maximum(0, record.errors - (record.n - record.kept)) / record.kept
    dots = {"color": NEUTRAL, "dash": "dot", "width": 1.2}
    result.add_scatter(x=x, y=best, mode="lines", line=dots, name="best order of these errors")
    kept = record.coverage > 0
    result.add_scatter(
        x=record.coverage[kept],
        y=record.risk_bound[kept],
        mode="markers",
        marker={"symbol": "triangle-down", "size": 10, "color": COLOURS[1]},
        name=f"risk kept, sure to {1 - record.delta:.0%}",
    )
    result.update_xaxes(range=[0, 1.02])
    # The first few rows have intervals up to 1, which would press everything else to the ground.
    settled = x >= 0.1
    parts = (record.random_high[settled], record.interval()[1][settled], record.risk_bound[kept])
    highest = max(float(part.max(initial=0)) for part in parts)
    result.update_yaxes(range=[0, min(1.02, 1.3 * highest)])
    return result


def _band(result: go.Figure, x: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str, name: str) -> None:
    result.add_scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        fill="toself",
        mode="lines",
        line={"width": 0},
        fillcolor=rgba(colour, 0.2),
        name=name,
        hoverinfo="skip",
    )


def by_group(record: Abstention, feature: str) -> go.Figure:
    """Risk in each group by a sensitive feature, against the share of that group that is answered when the least confident
    of all rows are withheld. Raises Refused for an unknown feature."""
    if feature not in record.features:
        raise unknown("a feature of this record", feature, record.features)
    result = base(
        f"Errors among the most confident answers, by {feature}",
        x="coverage of the group",
        y="risk in the group",
        height=420,
    )
    coverage, risk, low, high = record.by_group()
    for i, g in enumerate(np.flatnonzero(record.feature_of == record.features.index(feature))):
        colour, known = COLOURS[i % len(COLOURS)], ~np.isnan(risk[g])
        name = f"{record.group[g]} (n = {record.size[g]})"
        line = {"color": colour, "dash": DASHES[i % len(DASHES)], "width": 1.5}
        marker = {"symbol": MARKERS[i % len(MARKERS)], "size": 6}
        x = coverage[g][known]
        _band(result, x, low[g][known], high[g][known], colour, f"{record.group[g]}, 95 % interval")
        result.data[-1].showlegend = False
        result.add_scatter(x=x, y=risk[g][known], mode="lines+markers", line=line, marker=marker, name=name)
    result.update_xaxes(range=[0, 1.02])
    result.update_yaxes(rangemode="tozero")
    return result


def answered(record: Abstention, feature: str) -> go.Figure:
    """The share of each group by a sensitive feature that is answered when the least confident of all rows are withheld, with
    95 % intervals; on the dashed line all groups are answered alike. Raises Refused for an unknown feature."""
    if feature not in record.features:
        raise unknown("a feature of this record", feature, record.features)
    result = base(
        f"Who is answered when the least confident of {record.n} rows are withheld, by {feature}",
        x="coverage of all rows",
        y="coverage of the group",
        height=420,
    )
    low, high = record.answered_interval()
    thin = {"color": NEUTRAL, "dash": "dash", "width": 1}
    result.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=thin, name="all groups alike", hoverinfo="skip")
    for i, g in enumerate(np.flatnonzero((record.feature_of == record.features.index(feature)) & (record.size > 0))):
        colour, name = COLOURS[i % len(COLOURS)], f"{record.group[g]} (n = {record.size[g]})"
        _band(result, record.asked, low[g], high[g], colour, f"{record.group[g]}, 95 % interval")
        result.data[-1].showlegend = False
        line = {"color": colour, "dash": DASHES[i % len(DASHES)], "width": 2}
        share_of = record.answered[g] / record.size[g]
        result.add_scatter(x=record.asked, y=share_of, mode="lines", line=line, name=name)
    result.update_xaxes(range=[0, 1.02])
    result.update_yaxes(range=[0, 1.02])
    return result


def rows(record: Abstention) -> pd.DataFrame:
    """One point of the curve a row: the confidence from which on rows are answered, how many these are, errors among them
    with the interval, and the band of a confidence that says nothing."""
    low, high = record.interval()
    return pd.DataFrame(
        {
            "confidence from": record.threshold,
            "n": record.kept,
            "coverage": record.kept / record.n,
            "wrong": record.wrong,
            "risk": record.wrong / record.kept,
            "low": low,
            "high": high,
            "at random low": record.random_low,
            "at random high": record.random_high,
        }
    )


def rules(record: Abstention) -> pd.DataFrame:
    """One wanted risk a row: the confidence above which to answer, the coverage, the risk on these rows, and the bound."""
    return pd.DataFrame(
        {
            "risk wanted": record.wanted,
            "answer above": record.least_confidence,
            "n": record.n,
            "coverage": record.coverage,
            "risk on these rows": record.risk,
            "risk at most": record.risk_bound,
            "may fail": record.delta,
        }
    )


def groups(record: Abstention) -> pd.DataFrame:
    """One group and coverage of all rows a row: how much of the group is answered, and errors among that, with intervals."""
    coverage, risk, low, high = record.by_group()
    least, most = record.answered_interval()
    steps = len(record.asked)
    return pd.DataFrame(
        {
            "feature": np.repeat(np.array(record.features, str)[record.feature_of], steps),
            "group": np.repeat(record.group, steps),
            "n": np.repeat(record.size, steps),
            "coverage of all": np.tile(record.asked, len(record.group)),
            "answered": record.answered.ravel(),
            "coverage": coverage.ravel(),
            "coverage low": least.ravel(),
            "coverage high": most.ravel(),
            "wrong": record.mistaken.ravel(),
            "risk": risk.ravel(),
            "low": low.ravel(),
            "high": high.ravel(),
        }
    )


def says(record: Abstention) -> str:
    """The area under the curve beside chance and the best order, and which rules keep which risk."""
    told = [
        f"at most {number(w)} by answering {share(c)}" if c > 0 else f"at most {number(w)} by no rule tried"
        for w, c in zip(record.wanted, record.coverage)
    ]
    order = "better than" if record.p < 0.05 else "no better than"
    return (
        f"Mean risk over all coverages {number(*record.aurc)} on {record.n} rows of which {record.errors} are wrong, "
        f"{order} a confidence that says nothing ({number(record.random)}, {p_value(record.p)}); the best order of these "
        f"errors has {number(record.best)}. New rows of this source keep a risk of {', '.join(told)} "
        f"(each sure to {1 - record.delta:.0%})."
    )
