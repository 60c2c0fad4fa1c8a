"""The proxy chart: how well the group is told by all inputs and by each column alone, and what the telling rests on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.areas import guessing_error
from labkit.core.words import number, p_value
from labkit.records.proxies import Proxies
from labkit.views._forest import band, mark, span
from labkit.views._style import COLOURS, MARKERS, NEUTRAL, base, errors, rgba

MOST = 20  # columns that are shown


def figure(record: Proxies) -> go.Figure:
    """Left the AUC of each learner and, alone, of each column, the best first; right what the boosted trees lose without a
    feature. Of several groups the one that is told best. Grey is what people's groups at random give in 95 of 100."""
    t = _best(record)[2]
    order = np.argsort(-record.column_auc[:, :, t].max(0), kind="stable")[:MOST]
    features = np.argsort(-record.importance[:, :, t].max(0), kind="stable")[:MOST]
    both = len(order) > 0
    count = max(len(record.learners) + len(order), len(features))
    height = 150 + 30 * max(count, 4)
    titles = ["AUC (0.5: guessing)", "AUC lost without it"] if both else ["AUC (0.5: guessing)"]
    result = make_subplots(1, len(titles), subplot_titles=titles, horizontal_spacing=0.24)
    people = ", ".join(f"{n} people in {part}" for part, n in zip(record.parts, record.n))
    where = f" from the layer {record.layer}" if record.layer else " from the other inputs"
    heading = f"{record.sensitive} {record.targets[t]} told{where}: 95 % interval, {people}"
    result.update_layout(base(heading, height=height).layout)
    result.update_layout(margin={"l": 190, "t": 80, "b": 70}, legend={"y": -50 / height, "yanchor": "top"})
    grid = {"gridcolor": rgba(NEUTRAL, 0.25), "zerolinecolor": rgba(NEUTRAL, 0.25)}
    result.update_xaxes(**grid)
    result.update_yaxes(**grid)
    names = [f"<b>{name}</b>" for name in record.learners]
    names += [record.columns[c] + (f" ({record.tells[c]})" if record.tells[c] else "") for c in order]
    _axis(result, names, 1)
    mark(result, 0.5, len(names), "dot", row=1, col=1)
    ends = []
    for i, part in enumerate(record.parts):
        values = [
            np.concatenate([all_of[i, :, t], alone[i, order, t]])
            for all_of, alone in (
                (record.auc, record.column_auc), (record.low, record.column_low), (record.high, record.column_high)
            )
        ]  # fmt: skip
        ends += values
        _marks(result, values, i, len(record.parts), part, 1)
        if both:
            lost = [a[i, features, t] for a in (record.importance, record.importance_low, record.importance_high)]
            _marks(result, lost, i, len(record.parts), "", 2)
    _band(result, record, t, len(order))
    result.update_xaxes(range=span(*ends, 0.5), row=1, col=1)
    if both:
        _axis(result, [record.features[f] for f in features], 2)
        mark(result, 0.0, len(features), "dot", row=1, col=2)
    return result


def _best(record: Proxies) -> tuple[int, int, int]:
    """Part, learner and target with the largest AUC, in the last part."""
    last = len(record.parts) - 1
    i, t = np.unravel_index(int(np.nanargmax(record.auc[last])), record.auc[last].shape)
    return last, int(i), int(t)


def _axis(result: go.Figure, names: list[str], col: int) -> None:
    ticks = {"tickvals": list(range(len(names))), "ticktext": names, "range": [len(names) - 0.4, -0.6]}
    result.update_yaxes(**ticks, row=1, col=col)


def _marks(result: go.Figure, values: list[np.ndarray], i: int, parts: int, name: str, col: int) -> None:
    value, low, high = values
    result.add_scatter(
        x=value,
        y=np.arange(len(value)) + 0.24 * (i - (parts - 1) / 2),
        mode="markers",
        name=name,
        showlegend=bool(name) and parts > 1,
        error_x=errors(value, low, high) | {"color": COLOURS[i]},
        marker={"size": 8, "color": COLOURS[i], "symbol": MARKERS[i]},
        text=[number(*v, digits=3) for v in zip(value, low, high)],
        hoverinfo="text",
        row=1,
        col=col,
    )


def _band(result: go.Figure, record: Proxies, t: int, columns: int) -> None:
    """What groups at random give: for learners as measured, for single columns by the rank test; of the smallest part."""
    i = int(record.n.argmin())
    count, learners = int(record.count[i, t]), len(record.learners)
    half = 1.96 * guessing_error(count, int(record.n[i]) - count)
    middle = record.null_mean[i, :, t]
    away = 1.96 / 1.645 * (record.null95[i, :, t] - middle)  # null95 is one-sided
    boxes = [(middle[k] - away[k], middle[k] + away[k], k, k) for k in range(learners)]
    boxes += [(0.5 - half, 0.5 + half, learners, learners + columns - 1)] if columns else []
    for low, high, first, last in boxes:
        band(result, (low, high), (first, last), row=1, col=1)


def rows(record: Proxies) -> pd.DataFrame:
    """One learner, column or feature's importance a row, by part and group: value, interval, chance, p."""
    tables = []
    for i, part in enumerate(record.parts):
        for t, target in enumerate(record.targets):
            about = {"part": part, "group": target, "n": int(record.n[i]), "of the group": int(record.count[i, t])}
            for k, name in enumerate(record.learners):
                at = (i, k, t)
                value = {"value": record.auc[at], "low": record.low[at], "high": record.high[at]}
                chance = {
                    "null mean": record.null_mean[at],
                    "null 95 %": record.null95[at],
                    "by heart": record.memorized[at],
                }
                tables.append(
                    about | {"what": "AUC of all", "of": name} | value | chance | {"p (Holm)": record.p_holm[at]}
                )
            for c, name in enumerate(record.columns):
                at = (i, c, t)
                value = {"value": record.column_auc[at], "low": record.column_low[at], "high": record.column_high[at]}
                more = {"p (Holm)": record.column_p_holm[i, c], "tells": str(record.tells[c])}
                tables.append(about | {"what": "AUC of one column", "of": name} | value | more)
            for f, name in enumerate(record.features):
                at = (i, f, t)
                value = {
                    "value": record.importance[at],
                    "low": record.importance_low[at],
                    "high": record.importance_high[at],
                }
                p = {"p (Holm)": record.importance_p[at]}
                tables.append(about | {"what": "AUC lost without it", "of": name} | value | p)
    return pd.DataFrame(tables)


def says(record: Proxies) -> str:
    """How well the group is told that is told best, beside chance, and what tells it most."""
    i, k, t = _best(record)
    source = f"the layer {record.layer}" if record.layer else "the other inputs"
    value = number(record.auc[i, k, t], record.low[i, k, t], record.high[i, k, t])
    sure = record.p_holm[i, k, t] < 0.05
    told = (
        f"{record.sensitive} {record.targets[t]} is told from {source} with an AUC of {value} by {record.learners[k]} "
        f"({record.n_fit[i]} people of {record.parts[i]}; groups at random {number(record.null_mean[i, k, t])}), "
        f"{'more' if sure else 'no more'} than chance alone gives ({p_value(record.p_holm[i, k, t])} after Holm's correction)."
    )
    found = [
        f"{c} {'is' if w == 'the attribute' else 'determines'} the group"
        for c, w in zip(record.columns, record.tells)
        if w
    ]
    if found:
        told += f" Left out: {', '.join(found)}."
    if sure and len(record.features):
        f = int(record.importance[i, :, t].argmax())
        lost, low, high = (
            float(a[i, f, t]) for a in (record.importance, record.importance_low, record.importance_high)
        )
        if low > 0:
            told += f" Most rests on {record.features[f]}: {number(lost, low, high)} of AUC is lost without it."
    return told
