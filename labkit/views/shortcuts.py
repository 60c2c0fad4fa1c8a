"""How shortcuts look: what each cheap cue tells by itself, and how many answers turn when it is exchanged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import number, share
from labkit.records.shortcuts import Shortcuts
from labkit.views._forest import mark
from labkit.views._gallery import short
from labkit.views._style import COLOURS, MARKERS, NEUTRAL, base, errors, rgba

SHOWN = 12


def figure(record: Shortcuts) -> go.Figure:
    """The cues that answers follow most. Left the share of answers that turn when the cue is exchanged; right the model's
    accuracy where the cue agrees with the label and where not, with a dotted line at its accuracy on all."""
    order = np.argsort(-np.nan_to_num(record.follow_low, nan=-2.0), kind="stable")[:SHOWN]
    titles = ["answers that turn with the cue", "accuracy of the model"]
    result = make_subplots(1, 2, shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.06)
    heading = f"Cheap cues of {record.n_test:,} test rows, exchanged in {record.n_exchanged}; 95 % intervals"
    result.update_layout(base(heading, height=230 + 28 * len(order)).layout)
    result.update_layout(margin={"l": 190, "t": 84}, legend={"y": -0.3})
    result.update_xaxes(gridcolor=rgba(NEUTRAL, 0.25), zeroline=False)
    result.update_yaxes(gridcolor=rgba(NEUTRAL, 0.25), zeroline=False)
    names = [short(record.cues[i], 26).replace("<", "‹").replace(">", "›") for i in order]
    result.update_yaxes(tickvals=list(range(len(order))), ticktext=names, range=[len(order) - 0.4, -0.6])
    places = np.arange(len(order))
    mark(result, 0.0, len(order), "dot", row=1, col=1)
    mark(result, record.accuracy[0], len(order), "dot", row=1, col=2)
    follow = tuple(v[order] for v in (record.follow, record.follow_low, record.follow_high))
    _points(result, places, follow, "turned", 0, 1)
    for name, rows_of, value, look, shift in (
        ("cue agrees", record.agree, record.right, 1, -0.13),
        ("cue disagrees", record.disagree, record.wrong, 2, 0.13),
    ):
        low, high = _wilson(value[order], rows_of[order])
        _points(result, places + shift, (value[order], low, high), name, look, 2)
    result.update_xaxes(range=[-0.28, 1.05], title="share of rows, beyond another cue", col=1)
    result.update_xaxes(range=[-0.02, 1.02], title="share right", col=2)
    return result


def _wilson(value: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from labkit.core.intervals import wilson

    return wilson(value * n, n)


def _points(result: go.Figure, at: np.ndarray, values: tuple[np.ndarray, ...], name: str, look: int, col: int) -> None:
    known = ~np.isnan(values[0])
    value, low, high = (v[known] for v in values)
    result.add_scatter(
        x=value,
        y=at[known],
        mode="markers",
        name=name,
        error_x=errors(value, low, high),
        marker={"size": 8, "color": COLOURS[look], "symbol": MARKERS[look]},
        text=[number(*ends) for ends in zip(value, low, high)],
        hoverinfo="text",
        row=1,
        col=col,
    )


def rows(record: Shortcuts) -> pd.DataFrame:
    """One cue a row, those that answers follow most first."""
    names = np.array([*record.classes, ""])
    table = pd.DataFrame(
        {
            "cue": record.cues,
            "p in training (Holm)": record.p,
            "right by itself": record.alone,
            "share of the model's lead": record.share,
            "accuracy where it agrees": record.right,
            "n agrees": record.agree,
            "accuracy where not": record.wrong,
            "n disagrees": record.disagree,
            "gap low": record.gap_low,
            "gap high": record.gap_high,
            "worst group": record.worst_group,
            "worst accuracy": record.worst,
            "worst n": record.worst_n,
            "excess over labels": record.excess,
            "excess low": record.excess_low,
            "excess high": record.excess_high,
            "turns to": names[record.follow_class],
            "answers that turn": record.follow,
            "turn low": record.follow_low,
            "turn high": record.follow_high,
        }
    )
    return table.sort_values("turn low", ascending=False, na_position="last", kind="stable", ignore_index=True)


def says(record: Shortcuts) -> str:
    """The cue that answers follow most surely, and where the model is right."""
    begin = f"{len(record.cues)} cheap cues on {record.n_test:,} test rows, of which {record.model} gets {share(*record.accuracy)} right"
    if np.isnan(record.follow_low).all():
        i = int(np.nan_to_num(record.gap_low, nan=-1.0).argmax())
        gap = number(record.gap[i], record.gap_low[i], record.gap_high[i])
        return f"{begin}; none could be exchanged. Accuracy differs most by {record.cues[i]}: {gap} between where it agrees with the label and where not."
    i = int(np.nanargmax(record.follow_low))
    ends = share(record.follow[i], record.follow_low[i], record.follow_high[i])
    return (
        f"{begin}. Most answers follow {record.cues[i]}: taken from other rows that say {record.classes[record.follow_class[i]]}, "
        f"it turns {ends} more to that than a cue that says something else; the model is right on {number(record.right[i])} of "
        f"{record.agree[i]:,} rows where it agrees with the label, and on {number(record.wrong[i])} of {record.disagree[i]:,} where not."
    )
