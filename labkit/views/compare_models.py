"""How a comparison of two models looks: a forest of differences with intervals, by metric and group."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import number, p_value, spoken
from labkit.records.compare_models import BETTER, HIGHER, LOWER, UNKNOWN, WITHIN, WORSE, ModelComparison
from labkit.views._forest import band, mark, span
from labkit.views._style import COLOURS, MARKERS, base, errors

LOOKS = {WORSE: 1, LOWER: 1, BETTER: 2, HIGHER: 2, WITHIN: 0}


def figure(record: ModelComparison) -> go.Figure:
    """A panel a metric: b less a in each group, with 95 % intervals; the grey band is the margin. Squares are worse,
    diamonds better (corrected for all that was looked at), circles not told apart, hollow ones too few to be judged."""
    count, across = len(record.group), len(record.metrics)
    arrows = {1: "more is better", -1: "less is better", 0: "b less a"}
    titles = [f"{spoken(m)}<br>({arrows[int(side)]})" for m, side in zip(record.metrics, record.better)]
    result = make_subplots(1, across, shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.04)
    heading = f"{record.b} less {record.a}, n = {record.n[0]}{_of_runs(record)}"
    result.update_layout(base(heading, height=200 + 30 * count).layout)
    result.update_layout(showlegend=False, margin={"l": 210, "t": 96})
    result.update_annotations(font_size=12)
    names = [f"{f}: {g}" if f else g for f, g in zip(record.feature, record.group)]
    labels = [f"{name} (n = {n})" for name, n in zip(names, record.n)]
    result.update_yaxes(tickvals=list(range(count)), ticktext=labels, range=[count - 0.4, -0.6])
    for m in range(across):
        _forest(result, record, m)
    return result


def _forest(result: go.Figure, record: ModelComparison, m: int) -> None:
    place = {"row": 1, "col": m + 1}
    size, low, high = record.difference[m], record.low[m], record.high[m]
    if record.margin:
        band(result, (-record.margin, record.margin), (0, len(size) - 1), **place)
    mark(result, 0.0, len(size), "dash", **place)
    for g in np.flatnonzero(~np.isnan(size)):
        verdict = record.verdict(m, int(g))
        look = LOOKS.get(verdict, 0)
        told = f"{record.group[g]}: {number(size[g], low[g], high[g], 3)}, n = {record.n[g]}: {verdict}"
        result.add_scatter(
            x=[size[g]],
            y=[g],
            mode="markers",
            error_x=errors(*(np.array([v]) for v in (size[g], low[g], high[g]))),
            marker={
                "color": COLOURS[look],
                "size": 10,
                "symbol": MARKERS[look] + ("-open" if verdict == UNKNOWN else ""),
            },
            text=[told],
            hoverinfo="text",
            **place,
        )
    result.update_xaxes(range=span(low, high, [-record.margin, record.margin]), nticks=5, **place)
    result.update_xaxes(title_text="difference", **place)


def rows(record: ModelComparison) -> pd.DataFrame:
    """A metric and group a row: both values, the difference with its interval, p, and the verdict."""
    metrics, groups = len(record.metrics), len(record.group)
    flat = {
        "a": record.value_a,
        "b": record.value_b,
        "b - a": record.difference,
        "low": record.low,
        "high": record.high,
        "p": record.p,
        "p (Holm)": record.p_holm,
        "p worse": record.p_worse,
        "p better": record.p_better,
    }
    return pd.DataFrame(
        {
            "metric": np.repeat(record.metrics, groups),
            "feature": np.tile(record.feature, metrics),
            "group": np.tile(record.group, metrics),
            "n": np.tile(record.n, metrics),
            **{name: values.ravel() for name, values in flat.items()},
            "verdict": [record.verdict(m, g) for m in range(metrics) for g in range(groups)],
            "method": np.repeat(record.methods, groups),
        }
    )


def says(record: ModelComparison) -> str:
    """What differs of the first metric, where b is worse or better beyond chance, and what the comparison is of."""
    name = spoken(record.metrics[0])
    before, after = (number(float(v[0, 0]), digits=3) for v in (record.value_a, record.value_b))
    size, low, high = (float(v[0, 0]) for v in (record.difference, record.low, record.high))
    apart = number(size, low, high, 3)
    told = (
        f"{name[:1].upper()}{name[1:]} of {record.b} is {after} and of {record.a} {before} on the same {record.n[0]} "
        f"people{_of_runs(record)}: a difference of {apart}, {p_value(float(record.p[0, 0]))}. "
    )
    for verdict in (WORSE, BETTER):
        where = listed(record, verdict)
        if where:
            told += f"{record.b} is {verdict} in {', '.join(where[:6])}{_more(where)}. "
    if not listed(record, WORSE) and not listed(record, BETTER):
        several = int(np.isfinite(record.p).sum())
        corrected = f"Corrected for {several} comparisons, no" if several > 1 else "No"
        told += f"{corrected} difference is shown" + (" beyond the margin. " if record.margin else ". ")
    within = sum(record.verdict(m, g) == WITHIN for m in range(len(record.metrics)) for g in range(len(record.group)))
    if within:
        told += f"{within} differences are within the margin of {record.margin:g}. "
    looked = int((~np.isnan(record.p_holm)).sum())
    return f"{told}Of like models at most {record.alarm:.2g} are called worse, over {looked} comparisons at once."


def listed(record: ModelComparison, verdict: str) -> list[str]:
    """The metrics and groups of one verdict."""
    return [
        spoken(name) + (f" of {record.group[g]}" if g else "")
        for m, name in enumerate(record.metrics)
        for g in range(len(record.group))
        if record.verdict(m, g) == verdict
    ]


def _more(where: list[str]) -> str:
    return f" and {len(where) - 6} more" if len(where) > 6 else ""


def _of_runs(record: ModelComparison) -> str:
    if record.one_run:
        return ""
    return f", {record.runs_b.shape[1]} and {record.runs_a.shape[1]} training runs"
