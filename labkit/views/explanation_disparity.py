"""How explanations look by group: their quality, and what the model leans on, beside groups made at random."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import number, p_value, spoken
from labkit.records.explanation_disparity import RELIANCE, ExplanationDisparity
from labkit.views._forest import band, mark, span
from labkit.views._style import COLOURS, MARKERS, base, errors

MOST = 12  # columns drawn


def figure(record: ExplanationDisparity) -> go.Figure:
    """Above each quality by group with 95 % intervals; the band is as wide as groups made at random differ in 95 % of
    permutations, hollow groups are not compared. Below, for tables, each column's share of the attribution by group, for
    the feature by which shares differ most surely; * marks columns beyond chance, ** those that count otherwise among people with like values."""
    across, count = len(record.qualities), len(record.group)
    shown = _columns(record)
    above, below = 26 * max(count, 3), 30 * len(shown)
    down = 2 if shown else 1
    second = [[{"colspan": across}, *[None] * (across - 1)]] if shown else []
    titles = [_title(q) for q in record.qualities]
    titles += [f"share of the attribution, by {record.features[_feature(record)]}"] if shown else []
    result = make_subplots(
        down,
        across,
        specs=[[{} for _ in range(across)], *second],
        row_heights=[above, below] if shown else None,
        vertical_spacing=90 / (above + below + 90) if shown else 0,
        horizontal_spacing=0.05,
        subplot_titles=titles,
    )
    heading = f"{record.method} on {record.model}, {record.n_total} people: do explanations serve groups alike?"
    result.update_layout(base(heading, height=above + below + 250).layout)
    result.update_layout(margin={"l": 190, "t": 80}, legend={"y": -60 / (above + below + 90)})
    result.update_annotations(font_size=12)
    names = [f"{record.features[f]}: {g} (n = {n})" for f, g, n in zip(record.feature_of, record.group, record.n)]
    for q in range(across):
        _quality(result, record, q)
        ticks = {"tickvals": list(range(count)), "ticktext": names if q == 0 else [""] * count}
        result.update_yaxes(**ticks, range=[count - 0.4, -0.6], row=1, col=q + 1)
    if shown:
        _shares(result, record, shown)
    return result


def _title(quality: str) -> str:
    return spoken(quality) if quality == "entries used" else f"{spoken(quality)}, ahead of random"


def _feature(record: ExplanationDisparity) -> int:
    """The feature by which reliance differs most surely."""
    p = record.p[record.measures.index(RELIANCE)]
    return int(np.where(np.isnan(p), 2, p).argmin())


def _columns(record: ExplanationDisparity) -> list[int]:
    """The columns drawn: those furthest apart, largest share first."""
    if not record.columns or np.isnan(record.share).all():
        return []
    f = _feature(record)
    order = np.argsort(-np.nan_to_num(record.column_difference[f]), kind="stable")[:MOST]
    mean = np.nanmean(record.share[record.feature_of == f], axis=0)
    return [int(c) for c in sorted(order, key=lambda c: -mean[c])]


def _quality(result: go.Figure, record: ExplanationDisparity, q: int) -> None:
    place = {"row": 1, "col": q + 1}
    value, low, high = record.value[q], record.low[q], record.high[q]
    half = record.null95[q] / 2
    bands = []
    for f in np.flatnonzero(~np.isnan(half)):
        at = np.flatnonzero((record.feature_of == f) & ~np.isnan(value))
        middle = float(np.average(value[at], weights=record.of_group[q, at]))
        bands += [middle - half[f], middle + half[f]]
        band(result, (bands[-2], bands[-1]), (at.min(), at.max()), **place)
    known = np.flatnonzero(~np.isnan(value))
    ends = (np.where(np.isnan(end), value, end) for end in (low, high))
    result.add_scatter(
        x=value[known],
        y=known,
        mode="markers",
        error_x=errors(value[known], *(end[known] for end in ends)),
        marker={
            "color": COLOURS[0],
            "size": 9,
            "symbol": ["circle" if r else "circle-open" for r in record.ranked[known]],
        },
        text=[f"{record.group[g]}: {number(value[g], low[g], high[g])}, n = {record.of_group[q, g]}" for g in known],
        hoverinfo="text",
        showlegend=False,
        **place,
    )
    if record.qualities[q] != "entries used":
        mark(result, 0.0, len(value), "dash", **place)
    reach = span(low[record.ranked], high[record.ranked], value[known], bands)
    result.update_xaxes(range=reach, **place)


def _shares(result: go.Figure, record: ExplanationDisparity, shown: list[int]) -> None:
    f = _feature(record)
    groups = np.flatnonzero((record.feature_of == f) & record.ranked)
    for i, g in enumerate(groups):
        value, low, high = (a[g, shown] for a in (record.share, record.share_low, record.share_high))
        result.add_scatter(
            x=value,
            y=np.arange(len(shown)) + 0.5 * ((i + 0.5) / len(groups) - 0.5),
            mode="markers",
            error_x=errors(value, low, high),
            marker={"color": COLOURS[i % len(COLOURS)], "symbol": MARKERS[i % len(MARKERS)], "size": 8},
            name=f"{record.group[g]} (n = {record.n[g]})",
            row=2,
            col=1,
        )
    stars = [" **" if record.like_p[f, c] < 0.05 else " *" if record.column_p[f, c] < 0.05 else "" for c in shown]
    labels = [f"{record.columns[c]}{star}" for c, star in zip(shown, stars)]
    result.update_yaxes(tickvals=list(range(len(shown))), ticktext=labels, range=[len(shown) - 0.4, -0.6], row=2, col=1)
    result.update_xaxes(
        title_text="mean share of the absolute attributions, 95 % interval", rangemode="tozero", row=2, col=1
    )


def rows(record: ExplanationDisparity) -> pd.DataFrame:
    """One group and quality, or group and column, a row: its mean or share with the interval."""
    groups, features = len(record.group), np.array(record.features)[record.feature_of]
    blocks = [
        pd.DataFrame(
            {
                "what": quality,
                "feature": features,
                "group": record.group,
                "n": record.of_group[q],
                "value": record.value[q],
                "low": record.low[q],
                "high": record.high[q],
                "ranked": record.ranked,
            }
        )
        for q, quality in enumerate(record.qualities)
    ]
    for c, column in enumerate(record.columns):
        part = {"value": record.share[:, c], "low": record.share_low[:, c], "high": record.share_high[:, c]}
        told = {
            "told by group": record.told[record.feature_of, c],
            "p over columns": record.column_p[record.feature_of, c],
            "p among like values": record.like_p[record.feature_of, c],
        }
        about = {"what": [f"share of {column}"] * groups, "feature": features, "group": record.group, "n": record.n}
        blocks.append(pd.DataFrame({**about, **part, "ranked": record.ranked, **told}))
    return pd.concat(blocks, ignore_index=True)


def says(record: ExplanationDisparity) -> str:
    """The surest difference in quality, and in what the model leans on."""
    if record.status == "not_measured":
        return f"Not measured because {record.reason}."
    parts = []
    quality = range(len(record.qualities))
    known = [(q, f) for q in quality for f in range(len(record.features)) if record.highest[q, f] >= 0]
    if not known:
        return f"No two groups of {record.least} people could be compared among {record.n_total}."
    q, f = min(known, key=lambda at: record.p_holm[at])
    one, other = (
        f"{number(record.value[q, g], record.low[q, g], record.high[q, g])} in {record.group[g]} (n = {record.n[g]})"
        for g in (int(record.highest[q, f]), int(record.lowest[q, f]))
    )
    parts.append(f"{_title(record.qualities[q])}, by {record.features[f]} is {one} and {other}, {_sure(record, q, f)}.")
    if record.columns:
        parts.append(_leaning(record))
    text = " ".join(parts)
    return f"Of {record.method}'s maps of {record.n_total} people {text[0]}{text[1:]}"


def _sure(record: ExplanationDisparity, m: int, f: int) -> str:
    beyond = "further apart" if record.p_holm[m, f] < 0.05 else "no further apart"
    return (
        f"{beyond} than groups made at random ({p_value(float(record.p_holm[m, f]))}, Holm over "
        f"{int((~np.isnan(record.p_holm)).sum())})"
    )


def _leaning(record: ExplanationDisparity) -> str:
    m, f = len(record.measures) - 1, _feature(record)
    top, bottom = int(record.highest[m, f]), int(record.lowest[m, f])
    if top < 0:
        return "What the model leans on could not be compared."
    c = int(np.nanargmin(record.column_p[f] - record.column_difference[f] * 1e-6))
    size, below, above = (float(a[m, f]) for a in (record.difference, record.difference_low, record.difference_high))
    apart = number(size, below, above)
    one, other = (
        f"{number(record.share[g, c], record.share_low[g, c], record.share_high[g, c])} in {record.group[g]}"
        for g in (top, bottom)
    )
    otherwise = record.otherwise(f)
    like = (
        f"these count otherwise: {', '.join(otherwise[:5])}"
        if otherwise
        else "no column counts otherwise beyond chance"
    )
    return (
        f"What the model leans on by {record.features[f]} differs by {apart} of the whole, {_sure(record, m, f)}; most "
        f"surely in {record.columns[c]}: {one} and {other} ({p_value(float(record.column_p[f, c]))} over all columns). "
        f"Among people with like values of a column, {like}."
    )
