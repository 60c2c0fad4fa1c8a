"""How individual fairness looks: consistency by group beside answers at random, and inequality between and within."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.intervals import holm
from labkit.core.words import number, p_value, share
from labkit.records.individual_fairness import IndividualFairness
from labkit.views._forest import mark, span
from labkit.views._style import COLOURS, MARKERS, NEUTRAL, base, errors, rgba


def figure(record: IndividualFairness) -> go.Figure:
    """Left the consistency of everybody and of each group, with a line where answers at random are; right how much of each
    index is between the groups of a feature, with what groups made at random reach one time in 20 (grey). What was not
    measured has no panel."""
    near, unequal = record.asked > 0, len(record.features) > 0 and not np.isnan(record.between).all()
    titles = ["consistency (1: as all neighbours)"] * near + ["% of inequality between groups"] * unequal
    names = [f"everybody (n = {record.asked})"]
    names += [f"{g} (n = {n})" for g, n in zip(record.group, record.group_asked)]
    height = 150 + 30 * max(len(names) * near, len(record.features) * 2, 4)
    result = make_subplots(1, max(1, len(titles)), subplot_titles=titles, horizontal_spacing=0.2)
    about = f"; {record.k} neighbours in {record.space}" if near else ""
    result.update_layout(base(f"Individual fairness, {record.n} people, 95 % interval{about}", height=height).layout)
    result.update_layout(
        margin={"l": 210, "t": 80, "b": 70}, showlegend=unequal, legend={"y": -50 / height, "yanchor": "top"}
    )
    grid = {"gridcolor": rgba(NEUTRAL, 0.25), "zerolinecolor": rgba(NEUTRAL, 0.25)}
    result.update_xaxes(**grid)
    result.update_yaxes(**grid)
    if near:
        whole = (record.consistency, record.low, record.high)
        groups = (record.group_consistency, record.group_low, record.group_high)
        values = [np.concatenate([[w], g]) for w, g in zip(whole, groups)]
        _points(result, values, np.arange(len(names)), 0, "", 1)
        _axis(result, names, 1)
        mark(result, record.null_mean, len(names), "dash", row=1, col=1)
        result.update_xaxes(range=span(*values, record.null_mean), row=1, col=1)
    for i in range(len(record.indices)) if unequal else ():
        _between(result, record, i, 1 + near)
    return result


def _between(result: go.Figure, record: IndividualFairness, i: int, col: int) -> None:
    """One index: how much of it is between the groups of each feature, in per cent."""
    at = np.arange(len(record.features)) + 0.24 * (i - 0.5)
    scale = 100 / (record.index[i] or np.nan)
    ends = [scale * a[i] for a in (record.between, record.between_low, record.between_high)]
    for y, chance in zip(at, scale * record.between_null95[i]):
        shape = {"type": "rect", "line": {"width": 0}, "layer": "below", "fillcolor": rgba(NEUTRAL, 0.2)}
        result.add_shape(x0=0, x1=chance, y0=y - 0.11, y1=y + 0.11, row=1, col=col, **shape)
    _points(result, ends, at, i, f"{record.indices[i]} ({number(record.index[i], digits=4)})", col)
    _axis(result, [f"by {f}" for f in record.features], col)
    result.update_xaxes(rangemode="tozero", row=1, col=col)


def _axis(result: go.Figure, names: list[str], col: int) -> None:
    ticks = {"tickvals": list(range(len(names))), "ticktext": names, "range": [len(names) - 0.4, -0.6]}
    result.update_yaxes(**ticks, row=1, col=col)


def _points(result: go.Figure, values: list[np.ndarray], at: np.ndarray, look: int, name: str, col: int) -> None:
    known = np.flatnonzero(~np.isnan(values[0]))
    value, low, high = (v[known] for v in values)
    result.add_scatter(
        x=value,
        y=at[known],
        mode="markers",
        name=name,
        showlegend=bool(name),
        error_x=errors(value, low, high) | {"color": COLOURS[look]},
        marker={"size": 8, "color": COLOURS[look], "symbol": MARKERS[look]},
        text=[number(*v, digits=4) for v in zip(value, low, high)],
        hoverinfo="text",
        row=1,
        col=col,
    )


def rows(record: IndividualFairness) -> pd.DataFrame:
    """One number a row: consistency of everybody and each group; each index, whole, between and within groups."""
    consistency = {"what": "consistency", "of": "everybody", "n": record.asked, "value": record.consistency}
    chance = {"low": record.low, "high": record.high, "chance": record.null_mean, "p": record.p}
    tables = [consistency | chance] if record.asked else []
    for g, name in enumerate(record.group) if record.asked else ():
        ends = {"low": record.group_low[g], "high": record.group_high[g]}
        tables.append(
            {"what": "consistency", "of": name, "n": record.group_asked[g], "value": record.group_consistency[g]} | ends
        )
    for i, name in enumerate(record.indices) if not np.isnan(record.index).all() else ():
        about = {"what": name, "n": record.n}
        ends = {"low": record.index_low[i], "high": record.index_high[i]}
        tables.append(about | {"of": "everybody", "value": record.index[i]} | ends)
        tables.append(about | {"of": "one answer for all", "value": record.constant[i]})
        for f, feature in enumerate(record.features):
            at = (i, f)
            ends = {"low": record.between_low[at], "high": record.between_high[at]}
            chance = {"chance": record.between_null95[at], "p": record.between_p[at]}
            tables.append(about | {"of": f"between {feature}", "value": record.between[at]} | ends | chance)
            ends = {"low": record.within_low[at], "high": record.within_high[at]}
            tables.append(about | {"of": f"within {feature}", "value": record.within[at]} | ends)
    return pd.DataFrame(tables)


def says(record: IndividualFairness) -> str:
    """How often alike people get alike answers beside chance, and how much of the inequality lies between groups."""
    told = []
    if record.asked:
        told.append(
            f"Of the {record.k} people most alike, {share(record.consistency, record.low, record.high)} "
            f"get the same answer ({record.asked} of {record.n} people asked; answers dealt at random "
            f"{100 * record.null_mean:.0f} of 100, {p_value(record.p)})"
        )
        if record.left_out:
            told[-1] += f", alike without {', '.join(record.left_out)}"
    if not np.isnan(record.index).all():
        value = number(record.index[0], record.index_low[0], record.index_high[0], digits=4)
        told.append(
            f"The generalised entropy index of the benefit {record.positive!r} is {value} on {record.n} people (0: as a model "
            f"without error; one answer for all: {number(record.constant[0], digits=4)})"
        )
        if record.features:
            corrected = holm(record.between_p)
            f = int(np.nanargmin(corrected[0]))
            told[-1] += (
                f", of which {number(record.between[0, f], digits=5)} lies between the groups by {record.features[f]}; "
                f"groups at random reach {number(record.between_null95[0, f], digits=5)} one time in 20 "
                f"({p_value(corrected[0, f])}{', Holm over ' + str(corrected.size) if corrected.size > 1 else ''})"
            )
    return ". ".join(told) + "."
