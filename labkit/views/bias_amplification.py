"""How bias amplification looks: the mean and its terms with intervals, each run, and what group-blind errors give."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.words import number, p_value
from labkit.records.bias_amplification import BiasAmplification
from labkit.views._forest import band, mark, span
from labkit.views._style import COLOURS, base, errors

MOST_TERMS = 16
AGAINST = {"test": "truth of these people", "train": "training data"}


def figure(record: BiasAmplification) -> go.Figure:
    """The mean of each measure with its null band and its runs; below, the terms of the first by group and class."""
    measures = [f"{d.replace('->', '→')}, against the {AGAINST[r]}" for d, r in zip(record.direction, record.reference)]
    shown = _largest_terms(record)
    names = [f"<b>{m}</b>" for m in measures]
    names += [f"{record.groups[g]}, {record.classes[t]} (n = {record.people[g].sum()})" for g, t in shown]
    count, first = len(names), len(measures)
    people = f"{record.n} people, {record.runs} training run{'s' if record.runs > 1 else ''}"
    drawn = "grey: errors that ignore the group" + ("; diamonds: runs" if record.runs > 1 else "")
    title = f"Bias amplification by {record.feature}, 95 % interval; {people} ({drawn})"
    axis = "bias amplification (0: as in the data; above: answers follow the group more)"
    result = base(title, axis, height=150 + 30 * count)
    result.update_layout(showlegend=False, margin={"l": 280})
    result.update_yaxes(tickvals=list(range(count)), ticktext=names, range=[count - 0.4, -0.6], zeroline=False)
    for m in range(first):
        band(result, (record.null_low[m], record.null_high[m]), (m, m))
    mark(result, 0.0, count, "dot")
    _runs(result, record)
    at = tuple(np.array(shown, int).reshape(-1, 2).T)
    parts = (
        (record.value, record.term[0][at]),
        (record.low, record.term_low[0][at]),
        (record.high, record.term_high[0][at]),
    )
    value, low, high = (np.concatenate(part) for part in parts)
    hollow = [False] * first + [not record.counted[0][g, t] for g, t in shown]
    result.add_scatter(
        x=value,
        y=np.arange(count),
        mode="markers",
        error_x=errors(value, low, high) | {"color": COLOURS[0]},
        marker={
            "size": 9,
            "color": [COLOURS[0]] * first + [COLOURS[2]] * len(shown),
            "symbol": ["circle-open" if h else "circle" for h in hollow],
        },
        text=[number(*v, digits=3) for v in zip(value, low, high)],
        hoverinfo="text",
    )
    result.update_xaxes(range=span(low, high, record.by_run, record.null_low, record.null_high, 0.0))
    return result


def _largest_terms(record: BiasAmplification) -> list[tuple[int, int]]:
    """Group and class of the terms of the first measure that are shown: the largest, in their own order. Of two classes
    the second: what one is answered more often, the other is less often."""
    size = np.abs(record.term[0])
    size = (np.where(np.arange(len(record.classes)) == 0, np.nan, size) if len(record.classes) == 2 else size).ravel()
    best = np.sort(np.argsort(np.where(np.isnan(size), -1, size), kind="stable")[::-1][:MOST_TERMS])
    return [divmod(int(i), len(record.classes)) for i in best if not np.isnan(size[i])]


def _runs(result: go.Figure, record: BiasAmplification) -> None:
    if record.runs < 2:
        return
    measures = len(record.value)
    result.add_scatter(
        x=record.by_run.ravel(),
        y=np.repeat(np.arange(measures) + 0.22, record.runs),
        mode="markers",
        marker={"size": 5, "color": COLOURS[1], "symbol": "diamond"},
        hoverinfo="x",
    )


def rows(record: BiasAmplification) -> pd.DataFrame:
    """Each measure's mean, then its terms: value, interval, null, sign of the tie, and whether it counts."""
    tables = []
    for m, (direction, reference) in enumerate(zip(record.direction, record.reference)):
        about = {"direction": direction, "reference": reference}
        mean = {
            "group": "(mean)",
            "class": "(mean)",
            "people": record.n,
            "value": record.value[m],
            "low": record.low[m],
            "high": record.high[m],
            "null mean": record.null_mean[m],
            "null low": record.null_low[m],
            "null high": record.null_high[m],
            "p": record.p[m],
            "sd over runs": record.runs_sd[m],
        }
        tables.append(about | mean)
        for g, group in enumerate(record.groups):
            for t, name in enumerate(record.classes):
                at = (m, g, t)
                term = {"value": record.term[at], "low": record.term_low[at], "high": record.term_high[at]}
                tie = {
                    "tie": int(record.sign[at]),
                    "tie sure": bool(record.sure[at]),
                    "in the mean": bool(record.counted[at]),
                }
                tables.append(about | {"group": group, "class": name, "people": record.people[g, t]} | term | tie)
    return pd.DataFrame(tables)


def says(record: BiasAmplification) -> str:
    """Whether the first measure is beyond 0 and beyond group-blind errors, in whom most, and how sure that is."""
    value, low, high = record.value[0], record.low[0], record.high[0]
    if low > 0:
        verdict = "the answers follow the group more than the truth does"
    elif high < 0:
        verdict = "the answers follow the group less than the truth does"
    else:
        verdict = "no more and no less than 0, where answers follow the group as much as the truth does"
    runs = f"{record.runs} training runs" if record.runs > 1 else "one training run"
    size = np.where(record.counted[0], np.abs(record.term[0]), -1)
    g, t = np.unravel_index(size.argmax(), size.shape)
    sign = record.sign[0, g, t] or 1.0
    shift, ends = (
        sign * record.term[0, g, t],
        sorted(sign * end[0, g, t] for end in (record.term_low, record.term_high)),
    )
    most = f"the answer {record.classes[t]!r} is given to {record.groups[g]}"
    return (
        f"Bias amplification by {record.feature} is {number(value, low, high, digits=3)} on {record.n} people and {runs}: "
        f"{verdict}. Errors dealt without regard to the group give {number(record.null_mean[0], digits=3)} "
        f"({p_value(record.p[0])}). Most of {int(record.counted[0].sum())}: {most} {abs(100 * shift):.1f} points {'more' if shift > 0 else 'less'} often "
        f"than it is true ({100 * ends[0]:+.1f} to {100 * ends[1]:+.1f})."
    )
