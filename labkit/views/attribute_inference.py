"""How attribute inference looks: right guesses about people trained on and others, and what asking the model adds."""

from __future__ import annotations

from textwrap import wrap

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import number, share
from labkit.records.attribute_inference import AttributeInference
from labkit.views._forest import mark, span
from labkit.views._style import COLOURS, MARKERS, base, errors

SIDES = ((True, "trained on"), (False, "not trained on"))


def figure(record: AttributeInference) -> go.Figure:
    """Left the share of right guesses with 95 % intervals, about people trained on and about others; right what each guess
    that asks the model remembers, beyond other columns and other people, with a line at nothing."""
    count = len(record.guesses)
    titles = ["share of right guesses", "remembered by the model"]
    result = make_subplots(1, 2, shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.05)
    result.update_layout(
        base(f"Guessing {record.feature} of {len(record.member)} people", height=190 + 60 * count).layout
    )
    values = []
    for k, (side, name) in enumerate(SIDES):
        value, (low, high) = record.right(side)
        values += [value, low, high]
        n = int((record.member == side).sum())
        at = np.arange(count) + 0.24 * (k - 0.5)
        _points(result, at, (value, low, high), 1, k, f"{name} (n = {n})")
    found = np.array([record.remembered(g) for g in record.asking]).T
    _points(result, np.array(record.asking), (found[0], found[1], found[2]), 2, 2, "")
    mark(result, 0.0, count, "dot", row=1, col=2)
    result.update_yaxes(
        tickvals=list(range(count)),
        ticktext=["<br>".join(wrap(g, 24)) for g in record.guesses],
        range=[count - 0.4, -0.6],
        zeroline=False,
    )
    result.update_xaxes(range=span(*values), row=1, col=1)
    result.update_xaxes(range=span(found, 0.0), row=1, col=2)
    result.update_layout(margin={"l": 190}, legend={"y": -0.12})
    return result


def _points(result: go.Figure, at: np.ndarray, values: tuple[np.ndarray, ...], col: int, look: int, name: str) -> None:
    value, low, high = values
    result.add_scatter(
        x=value,
        y=at,
        mode="markers",
        name=name,
        showlegend=bool(name),
        error_x=errors(value, low, high),
        marker={"size": 9, "color": COLOURS[look], "symbol": MARKERS[look]},
        text=[number(*v) for v in zip(value, low, high)],
        hoverinfo="text",
        row=1,
        col=col,
    )


def rows(record: AttributeInference) -> pd.DataFrame:
    """Every guess, one a row: right among people trained on and among others; for those that ask the model how far they
    are above the guess from other columns, the same less other people, and the smaller of the two."""
    table: dict[str, list[object]] = {"feature": [record.feature] * len(record.guesses), "guess": list(record.guesses)}
    for side, name in SIDES:
        value, (low, high) = record.right(side)
        n = int((record.member == side).sum())
        parts = {"n": np.full(len(value), n), "right": value, "low": low, "high": high}
        table |= {f"{name}: {k}": v.tolist() for k, v in parts.items()}
    for name, estimate in (
        ("above other columns", record.above),
        ("less other people", record.leak),
        ("remembered", record.remembered),
    ):
        found = [estimate(g) if g in record.asking else (np.nan,) * 3 for g in range(len(record.guesses))]
        table |= {f"{name}{k}": list(v) for k, v in zip(("", ", low", ", high"), zip(*found))}
    return pd.DataFrame(table)


def says(record: AttributeInference) -> str:
    """How many people's value is guessed with the model and without, and how much of it the model remembers."""
    most, n = record.most, int(record.member.sum())
    asked, (low, high) = record.right(True)
    new = record.right(False)[0]
    return (
        f"Of {n} people trained on, {record.feature} is guessed right for {share(asked[most], low[most], high[most])} by asking "
        f"{record.guesses[most]} and for {share(asked[record.OTHERS], low[record.OTHERS], high[record.OTHERS])} from "
        f"{record.guesses[record.OTHERS]} (of {len(record.member) - n} others {share(new[most])} and {share(new[record.OTHERS])}): "
        f"the model remembers {number(*record.remembered(most), digits=3)}."
    )
