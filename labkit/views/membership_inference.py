"""How membership inference looks: the ROC curve where it counts, on logarithmic axes; and the most exposed members."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core import roc
from labkit.core.words import number, p_value, share, spoken
from labkit.records.membership_inference import MembershipInference
from labkit.views._gallery import gallery
from labkit.views._style import COLOURS, DASHES, NEUTRAL, base, rgba

POINTS = 80


def figure(record: MembershipInference) -> go.Figure:
    """True against false positive rate on logarithmic axes: the chosen attack with its 95 % band on the rows on which it is
    stated, the best other kinds on all rows, a guess without the model, and chance; shaded where too few false positives
    are expected to tell anything."""
    title = f"Who was trained on: {record.members} training rows among {record.others} others"
    result = base(title, x="false positive rate", y="true positive rate", height=520)
    score, member = record.score[record.chosen][record.stated], record.member[record.stated]
    grid = np.geomspace(record.resolved, 1, POINTS)
    rate, low, high = roc.rate_at(score, member, grid)
    bottom = max(1e-4, 0.5 / record.others)
    shape = {"x": np.concatenate([grid, grid[::-1]]), "y": np.maximum(np.concatenate([high, low[::-1]]), bottom)}
    name = spoken(record.methods[record.chosen])
    line = {"width": 0}
    result.add_scatter(
        **shape, fill="toself", fillcolor=rgba(COLOURS[0], 0.2), line=line, name=f"{name}, 95 %", hoverinfo="skip"
    )
    for i, other in enumerate(_beside(record)):
        _line(result, record.score[other], record.member, spoken(record.methods[other]), i + 1, record.resolved)
    if record.blind:
        best = record.blind.index(record.guess()[0])
        _line(result, record.blind_score[best], record.member, "guess without the model", 5, record.resolved)
    shown = rate > 0
    result.add_scatter(x=grid[shown], y=rate[shown], mode="lines", name=name, line={"color": COLOURS[0], "width": 3})
    ends = [bottom, 1]
    look = {"color": NEUTRAL, "dash": "dot", "width": 1.5}
    result.add_scatter(x=ends, y=ends, mode="lines", name="chance", line=look, hoverinfo="skip")
    left, right = np.log10(bottom), np.log10(record.resolved)
    box = {"x0": bottom, "x1": record.resolved, "y0": bottom, "y1": 1}
    look = {"fillcolor": rgba(NEUTRAL, 0.18), "line": {"width": 0}, "layer": "below"}
    result.add_shape(type="rect", **box, **look)
    result.add_annotation(x=(left + right) / 2, y=-0.12, text="not resolved", showarrow=False, font_size=11)
    ticks = [v for v in (1e-4, 1e-3, 0.01, 0.1, 1) if v >= bottom]
    axis = {"type": "log", "range": [left, 0], "tickvals": ticks, "ticktext": [f"{v:g}" for v in ticks]}
    result.update_xaxes(**axis)
    result.update_yaxes(**axis)
    return result


def _line(result: go.Figure, score: np.ndarray, member: np.ndarray, name: str, look: int, start: float) -> None:
    grid = np.geomspace(start, 1, POINTS)
    rate = np.interp(grid, *roc.curve(score, member))
    line = {"color": COLOURS[look % len(COLOURS)], "dash": DASHES[look % len(DASHES)], "width": 1.5}
    shown = rate > 0
    result.add_scatter(x=grid[shown], y=rate[shown], mode="lines", name=name, line=line)


def _beside(record: MembershipInference) -> list[int]:
    """At most three other methods: of each list of what an outsider needs the one with the largest area."""
    best: dict[str, int] = {}
    for i in sorted(range(len(record.methods)), key=lambda i: -record.area(i)[0]):
        best.setdefault(record.needs[i], i)
    return [i for i in best.values() if i != record.chosen][:3]


def exposed(record: MembershipInference) -> go.Figure:
    """The pictures of the members that are recognised most surely, where the record keeps them (``show=``)."""
    if record.pictures is None:
        return figure(record)
    seen = record.exposed(len(record.shown))[1]
    tiles = [
        (f"{record.classes[record.label[row]]}, row {record.position[row]}", image)
        for row, image in zip(record.shown, record.pictures)
    ]
    lines = [tiles[i : i + 6] for i in range(0, len(tiles), 6)]
    others = int((~record.member).sum())
    alike = round(float(seen.max()) * others) or "none"
    return gallery(f"The most exposed training rows; of {others:,} others {alike} looks as much like one", lines)


def rows(record: MembershipInference) -> pd.DataFrame:
    """Area and true positive rates, one a row: every attack on all rows, the chosen one on the rows on which it is stated,
    the guesses without the model, and the copy that never learned."""
    chosen = record.methods[record.chosen]
    half = ("chosen, on rows that did not choose it", record.members, record.others)
    whole = ("all rows", int(record.member.sum()), int((~record.member).sum()))
    table = []

    def add(name: str, needs: str, on: tuple[str, int, int], what: str, value: float, low: float, high: float) -> None:
        table.append((name, needs, *on, what, value, low, high))

    for i, on in [(None, half), *((i, whole) for i in range(len(record.methods)))]:
        name, needs = (chosen, record.needs[record.chosen]) if i is None else (record.methods[i], record.needs[i])
        add(name, needs, on, "area", *record.area(i))
        for fpr, value, low, high in zip(record.fpr, *record.rates(i)):
            add(name, needs, on, f"true positive rate at {fpr:g}", value, low, high)
    for name, score in zip(record.blind, record.blind_score):
        add(f"{name} without the model", "nothing", whole, "area", *record._area(score, record.member, 0.95))
    if record.untrained is not None:
        add(f"{chosen} on an untrained copy", "", whole, "area", *record.control())
    columns = ["attack", "an outsider needs", "on", "training rows", "other rows", "what", "value", "low", "high"]
    return pd.DataFrame(table, columns=columns)


def says(record: MembershipInference) -> str:
    """How many training rows the chosen attack recognises at how many false alarms, and what the controls show."""
    name, area = spoken(record.methods[record.chosen]), number(*record.area(), digits=3)
    told = f"The attack {name} tells the {record.members} training rows from {record.others} others with area {area}"
    if record.least >= 0:
        value, low, high = (float(v[record.least]) for v in record.rates())
        wrong = share(record.fpr[record.least])
        told += f" and recognises {share(value, low, high)} training rows where it wrongly accuses {wrong} others"
    guess = record.guess()
    beside = (
        f"a guess without the model has {number(*guess[1], digits=3)}" if guess[0] else "no guess without the model"
    )
    if record.untrained is not None:
        beside += f", an untrained copy {number(*record.control(), digits=3)}"
    needs = record.needs[record.chosen]
    weak = " At least: stronger attacks may recognise more." if record.least >= 0 else ""
    return f"{told}; {beside}; {p_value(record.p)} for the largest of {len(record.methods)} areas. An outsider needs: {needs}.{weak}"
