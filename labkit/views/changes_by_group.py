"""How a change of the model looks by group: each group's change with its interval, beside what chance would show."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import number, p_value, share, spoken
from labkit.records.changes_by_group import ANSWER, ChangesByGroup
from labkit.views._forest import band, mark, span
from labkit.views._style import COLOURS, base, errors


def figure(record: ChangesByGroup) -> go.Figure:
    """A forest plot a measure: the change in each group, after minus before, with 95 % intervals; last the share of
    answers that are other ones. The dashed line is everybody, the band as wide as groups made at random differ in 95 %
    of permutations. Groups that are shown and not ranked are hollow."""
    count, across = len(record.group), len(record.measures)
    titles = [spoken(m) for m in record.measures[:-1]] + ["answered otherwise"]
    result = make_subplots(1, across, shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.05)
    heading = f"{record.after} against {record.before}: {record.n_total} people, by group"
    result.update_layout(base(heading, height=170 + 26 * count).layout)
    result.update_layout(showlegend=False, margin={"l": 230, "t": 80})
    result.update_annotations(font_size=12)
    labels = [f"{record.features[f]}: {g} (n = {n})" for f, g, n in zip(record.feature_of, record.group, record.n)]
    result.update_yaxes(tickvals=list(range(count)), ticktext=labels, range=[count - 0.4, -0.6])
    for m in range(across):
        _forest(result, record, m)
    return result


def _forest(result: go.Figure, record: ChangesByGroup, m: int) -> None:
    place = {"row": 1, "col": m + 1}
    value, (low, high) = record.change[m], (end[m] for end in record.interval())
    everybody = record.overall(m)[1]
    half = record.null95[m] / 2
    for f in np.flatnonzero(~np.isnan(half)):
        at = np.flatnonzero(record.feature_of == f)
        band(result, (everybody - half[f], everybody + half[f]), (at.min(), at.max()), **place)
    mark(result, everybody, len(value), "dash", **place)
    known = np.flatnonzero(~np.isnan(value))
    result.add_scatter(
        x=value[known],
        y=known,
        mode="markers",
        error_x=errors(value[known], low[known], high[known]),
        marker={
            "color": COLOURS[0],
            "size": 9,
            "symbol": ["circle" if r else "circle-open" for r in record.ranked[m][known]],
        },
        text=[f"{record.group[g]}: {number(value[g], low[g], high[g])}, n = {record.of[m, g]}" for g in known],
        hoverinfo="text",
        **place,
    )
    result.update_xaxes(range=span(low, high, everybody - half, everybody + half, 0.0), **place)
    result.update_xaxes(title_text="share" if m == len(record.measures) - 1 else "after minus before", **place)


def rows(record: ChangesByGroup) -> pd.DataFrame:
    """One measure and group a row: rates before and after, the paired change, gains, losses, McNemar's p."""
    measures, groups = len(record.measures), len(record.group)
    low, high = record.interval()

    def each(values: np.ndarray) -> np.ndarray:
        return np.tile(values, measures)

    return pd.DataFrame(
        {
            "measure": np.repeat(record.measures, groups),
            "feature": each(np.array(record.features)[record.feature_of]),
            "group": each(record.group),
            "n": each(record.n),
            "of": record.of.ravel(),
            "before": record.rate_before.ravel(),
            "after": record.rate_after.ravel(),
            "change": record.change.ravel(),
            "low": low.ravel(),
            "high": high.ravel(),
            "gained": record.gained.ravel(),
            "lost": record.lost.ravel(),
            "p (McNemar)": record.mcnemar.ravel(),
            "p (McNemar, Holm)": record.mcnemar_holm.ravel(),
            "ranked": record.ranked.ravel(),
        }
    )


def says(record: ChangesByGroup) -> str:
    """How many are answered otherwise, the surest difference between groups, and which groups gain or lose."""
    if record.status == "not_measured":
        return f"Not measured because {record.reason}."
    moved, low, high = record.overall(len(record.measures) - 1)[1:]
    told = f"{share(moved, low, high)} people are answered otherwise than before (n = {record.n_total}). "
    m, f = _surest(record)
    top, bottom = int(record.highest[m, f]), int(record.lowest[m, f])
    what = (
        "The share answered otherwise"
        if record.measures[m] == ANSWER
        else f"The change of {spoken(record.measures[m])}"
    )
    low, high = (end[m] for end in record.interval())
    one, other = (
        f"{number(record.change[m, g], low[g], high[g])} in {record.group[g]} (n = {record.of[m, g]})"
        for g in (top, bottom)
    )
    beyond = "further" if record.p_holm[m, f] < 0.05 else "no further"
    size, below, above = (float(a[m, f]) for a in (record.difference, record.difference_low, record.difference_high))
    apart = number(size, below, above)
    told += (
        f"{what} by {record.features[f]} is {one} and {other}, {apart} apart: {beyond} than groups made at random "
        f"({number(float(record.null95[m, f]))} one time in 20; {p_value(float(record.p_holm[m, f]))}, Holm over "
        f"{int((~np.isnan(record.p_holm)).sum())}). "
    )
    return told + _movers(record)


def _surest(record: ChangesByGroup) -> tuple[int, int]:
    """The measure and feature with the smallest p; of several the one furthest beyond what chance gives."""
    known = np.argwhere(~np.isnan(record.p_holm))
    beyond = record.difference / np.maximum(record.null95, 1e-12)
    m, f = min(known, key=lambda at: (record.p_holm[tuple(at)], -beyond[tuple(at)]))
    return int(m), int(f)


def _movers(record: ChangesByGroup) -> str:
    sure = np.argwhere(record.mcnemar_holm < 0.05)
    if not len(sure):
        return "No group gains or loses more than chance would have it."
    parts = []
    for m, g in sure[np.argsort(-np.abs(record.change[tuple(sure.T)]), kind="stable")][:6]:
        word = "rises" if record.change[m, g] > 0 else "falls"
        feature = record.features[record.feature_of[g]]
        parts.append(f"{spoken(record.measures[m])} {word} in {feature} {record.group[g]}")
    more = f" and {len(sure) - 6} more" if len(sure) > 6 else ""
    return f"Beyond chance (McNemar, Holm): {', '.join(parts)}{more}."
