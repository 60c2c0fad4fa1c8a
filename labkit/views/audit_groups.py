"""How a group audit looks: one row a group, estimate, interval and n, beside what equal groups would show."""

from __future__ import annotations

from textwrap import wrap

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import number, p_value, share, spoken
from labkit.records.audit_groups import GroupAudit
from labkit.views._forest import band, mark, span
from labkit.views._style import COLOURS, NEUTRAL, base, errors


def figure(record: GroupAudit) -> go.Figure:
    """A forest plot for each metric, and for impact ratios where selection rates were measured.

    The dashed line is everybody; the band is as wide as equal groups differ in 95 % of permutations. Groups that are
    shown and not ranked are hollow; a cross marks one that was not measured, and its text says why.
    """
    panels: list[tuple[str, int]] = [(spoken(name), m) for m, name in enumerate(record.metrics)]
    if "selection_rate" in record.metrics:
        panels.append(("impact ratio", -1))
    across = min(2, len(panels))
    down = -(-len(panels) // across)
    count = len(record.group)
    height = 110 + down * (60 + 26 * count)
    result = make_subplots(
        down,
        across,
        shared_yaxes=True,
        subplot_titles=[title for title, _ in panels],
        horizontal_spacing=0.04,
        vertical_spacing=60 / height if down > 1 else 0,
    )
    result.update_layout(base(f"{', '.join(record.features)}: estimate, 95 % interval, n", height=height).layout)
    result.update_layout(showlegend=False, margin={"l": 160})
    names = [f"{g} (n = {n})" for g, n in zip(record.group, record.n)]
    result.update_yaxes(tickvals=list(range(count)), ticktext=names, range=[count - 0.4, -0.6], zeroline=False)
    for i, (_, m) in enumerate(panels):
        place = (i // across + 1, i % across + 1)
        _forest(result, record, m, place) if m >= 0 else _ratios(result, record, place)
    return result


def _forest(result: go.Figure, record: GroupAudit, m: int, place: tuple[int, int]) -> None:
    overall = record.overall[m]
    for f, feature in enumerate(record.features):
        at = record.groups_of(feature)
        half = record.null95[m, f] / 2
        if len(at) and not np.isnan(half + overall):
            band(result, (overall - half, overall + half), (at.min(), at.max()), row=place[0], col=place[1])
    if not np.isnan(overall):
        mark(result, overall, len(record.group), "dash", row=place[0], col=place[1])
    ends = span(
        record.low[m], record.high[m], record.overall[m], overall + record.null95[m] / 2, overall - record.null95[m] / 2
    )
    result.update_xaxes(range=ends, row=place[0], col=place[1])
    _points(result, record, m, (record.value[m], record.low[m], record.high[m]), place)


def _ratios(result: go.Figure, record: GroupAudit, place: tuple[int, int]) -> None:
    m = record.metric("selection_rate")
    for f, feature in enumerate(record.features):
        at = record.groups_of(feature)
        if len(at) and not np.isnan(record.null_ratio05[m, f]):
            band(result, (record.null_ratio05[m, f], 1), (at.min(), at.max()), row=place[0], col=place[1])
    mark(result, 0.8, len(record.group), "dot", row=place[0], col=place[1])
    ends = span(record.ratio_low[m], record.ratio_high[m], record.null_ratio05[m], 0.8, 1)
    result.update_xaxes(range=ends, row=place[0], col=place[1])
    _points(result, record, m, (record.ratio[m], record.ratio_low[m], record.ratio_high[m]), place)


def _points(
    result: go.Figure, record: GroupAudit, m: int, parts: tuple[np.ndarray, ...], place: tuple[int, int]
) -> None:
    value, low, high = parts
    known = np.flatnonzero(~np.isnan(value))
    error_low, error_high = (np.where(np.isfinite(end), end, value) for end in (low, high))
    unranked = ~record.ranked[m]
    result.add_scatter(
        x=value[known],
        y=known,
        mode="markers",
        error_x=errors(value[known], error_low[known], error_high[known]),
        marker={
            "color": COLOURS[0],
            "size": 9,
            "symbol": ["circle-open" if unranked[g] else "circle" for g in known],
        },
        text=[f"{record.group[g]}: {number(value[g], low[g], high[g])}, n = {record.n[g]}" for g in known],
        hoverinfo="text",
        row=place[0],
        col=place[1],
    )
    missing = np.flatnonzero(np.isnan(value))
    if len(missing):
        middle = float(np.nanmean(value)) if len(known) else 0.5
        result.add_scatter(
            x=np.full(len(missing), middle),
            y=missing,
            mode="text",
            text=[_in_two(f"not measured: {record.why[m, g] or 'nothing to compare with'}") for g in missing],
            textfont={"color": NEUTRAL, "size": 11},
            hoverinfo="skip",
            row=place[0],
            col=place[1],
        )


def _in_two(text: str) -> str:
    """Long text on two lines, so that it stays within its panel."""
    return "<br>".join(wrap(text, max(48, len(text) // 2 + 8)))


def rows(record: GroupAudit) -> pd.DataFrame:
    """One group and metric a row: value, interval, counts, ratio to the highest, rank or reason."""
    metrics, groups = len(record.metrics), len(record.group)

    def each(values: np.ndarray) -> np.ndarray:
        return np.tile(values, metrics)

    return pd.DataFrame(
        {
            "metric": np.repeat(record.metrics, groups),
            "feature": each(np.array(record.features)[record.feature_of]),
            "group": each(record.group),
            "n": each(record.n),
            "base rate": each(record.base_rate),
            "value": record.value.ravel(),
            "low": record.low.ravel(),
            "high": record.high.ravel(),
            "hits": record.hits.ravel(),
            "of": record.of.ravel(),
            "ratio": record.ratio.ravel(),
            "ratio low": record.ratio_low.ravel(),
            "ratio high": record.ratio_high.ravel(),
            "ranked": record.ranked.ravel(),
            "detectable difference": record.detectable.ravel(),
            "not measured because": record.why.ravel(),
        }
    )


def comparisons(record: GroupAudit) -> pd.DataFrame:
    """One metric and feature a row: the largest difference with its interval, what equal groups would show, how sure it
    is, the worst group, and what could have been found."""
    metrics, features = len(record.metrics), len(record.features)

    def name(groups: np.ndarray) -> list[str]:
        return [str(record.group[g]) if g >= 0 else "" for g in groups.ravel()]

    return pd.DataFrame(
        {
            "metric": np.repeat(record.metrics, features),
            "feature": np.tile(record.features, metrics),
            "highest": name(record.highest),
            "lowest": name(record.lowest),
            "difference": record.difference.ravel(),
            "low": record.difference_low.ravel(),
            "high": record.difference_high.ravel(),
            "without its bias": record.corrected.ravel(),
            "equal groups, 95 %": record.null95.ravel(),
            "a perfect model": record.perfect.ravel(),
            "ratio": record.least_ratio.ravel(),
            "equal groups' ratio, 5 %": record.null_ratio05.ravel(),
            "p": record.p.ravel(),
            "p (Holm)": record.p_holm.ravel(),
            "p (Benjamini-Hochberg)": record.p_bh.ravel(),
            "worst group": name(record.worst),
            "worst low": record.worst_low.ravel(),
            "worst high": record.worst_high.ravel(),
            f"people a group to find {record.of_interest:g}": record.needed.ravel(),
        }
    )


def says(record: GroupAudit) -> str:
    """The largest difference beyond chance, or the one nearest to it: on whom, how large, and how sure."""
    known = ~np.isnan(record.p_holm)
    if not known.any():
        return f"No two groups could be compared among {record.n_total} people."
    sure = record.p_holm < 0.05
    first = np.where(sure, record.difference, -1) if sure.any() else np.where(known, -record.p, -np.inf)
    m, f = np.unravel_index(first.argmax(), first.shape)
    top, bottom = int(record.surest_high[m, f]), int(record.surest_low[m, f])
    name = spoken(record.metrics[m])
    word = number if np.isnan(record.of[m, [top, bottom]]).any() else share
    high, low = (
        f"{word(record.value[m, g], record.low[m, g], record.high[m, g])} in {record.group[g]} (n = {record.n[g]})"
        for g in (top, bottom)
    )
    compared = int(known.sum())
    return (
        f"{name[:1].upper()}{name[1:]} by {record.features[f]}: {high} and {low}, "
        f"{'more' if sure[m, f] else 'no more'} than chance alone gives ({p_value(record.p_holm[m, f])}, Holm over "
        f"{compared} comparison{'s' if compared > 1 else ''}). The largest difference is "
        f"{number(record.difference[m, f], record.difference_low[m, f], record.difference_high[m, f])}."
    )
