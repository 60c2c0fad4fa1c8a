"""How data copying looks: distances to training rows beside what they are without copying; and the nearest pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.refused import Refused
from labkit.core.words import number
from labkit.records.data_copying import DataCopying
from labkit.views._forest import mark
from labkit.views._gallery import gallery
from labkit.views._style import COLOURS, DASHES, MARKERS, NEUTRAL, base, errors, rgba

ROW = 24
KNOTS = 200  # of a curve


def figure(record: DataCopying) -> go.Figure:
    """Left, for each space: the share of rows up to each distance from the nearest training row. Right: how often a
    sample lies relatively nearer to training rows than a held-out row does; 1/2, dotted, by chance."""
    count, tests = len(record.spaces), len(record.tests)
    across = ["how often nearer than a held-out row", *[""] * (count - 1)]
    titles = [t for space, right in zip(record.spaces, across) for t in (space, right)]
    result = make_subplots(
        count, 2, subplot_titles=titles, horizontal_spacing=0.16, vertical_spacing=0.2 / count, column_widths=[0.5, 0.5]
    )
    name, height = record.provenance.model["name"], 130 + count * (100 + ROW * tests)
    title = f"{name}: {record.n} samples beside {record.n_train:,} training and {record.n_held} held-out rows"
    result.update_layout(base(title, height=height).layout)
    result.update_annotations(font_size=12)
    for i in range(count):
        _distances(result, record, i)
        _tests(result, record, i)
    result.update_xaxes(gridcolor=rgba(NEUTRAL, 0.25), zeroline=False)
    result.update_yaxes(gridcolor=rgba(NEUTRAL, 0.25), zeroline=False)
    result.update_layout(legend={"y": -70 / height, "x": 0}, margin={"t": 78})
    return result


def _distances(result: go.Figure, record: DataCopying, i: int) -> None:
    shown = (
        ("samples to training rows", record.distance[i]),
        ("held-out rows to training rows", record.usual[i]),
        ("samples to held-out rows", record.other[i]),
    )
    for k, (name, values) in enumerate(shown):
        x = np.quantile(values, np.linspace(0, 1, KNOTS))
        look = {"color": COLOURS[k], "dash": DASHES[k]}
        line = go.Scatter(x=x, y=np.linspace(0, 1, KNOTS), mode="lines", line=look, name=name, showlegend=i == 0)
        result.add_trace(line, row=i + 1, col=1)
    result.update_xaxes(title_text="distance (root mean square of a value)", rangemode="tozero", row=i + 1, col=1)
    result.update_yaxes(title_text="share of rows", range=[0, 1.02], row=i + 1, col=1)


def _tests(result: go.Figure, record: DataCopying, i: int) -> None:
    value, low, high = record.ahead[i], record.low[i], record.high[i]
    told = np.flatnonzero(~np.isnan(value))
    trace = go.Scatter(x=value[told], y=told, mode="markers", error_x=errors(value[told], low[told], high[told]))
    trace.update(marker={"color": COLOURS[0], "symbol": MARKERS[0], "size": 8}, showlegend=False)
    result.add_trace(trace, row=i + 1, col=2)
    mark(result, 0.5, len(value), "dot", row=i + 1, col=2)
    names = [f"{name} (n = {n})" for name, n in zip(record.tests, record.size[i])]
    result.update_yaxes(
        tickvals=list(range(len(names))), ticktext=names, range=[len(names) - 0.4, -0.6], row=i + 1, col=2
    )
    result.update_xaxes(title_text="share; 1/2 by chance", range=[-0.02, 1.02], row=i + 1, col=2)


def pairs(record: DataCopying) -> go.Figure:
    """The samples that lie nearest to a training row, that row, and the nearest held-out row, one under the other; with
    the distance of each.

    Raises:
        Refused: samples that are no images, or a record that keeps none.
    """
    if record.pictures is None or record.train_pictures is None or record.held_pictures is None:
        given = "samples that are no images, or images that were not asked for"
        raise Refused(
            "a picture of pairs", given, "labkit.data_copying(..., pairs=8) of images, or labkit.rows(record)"
        )
    lines = [
        [(f"sample {i}", image) for i, image in zip(record.pair, record.pictures)],
        [(f"training, {d:.3f}", image) for d, image in zip(record.pair_distance, record.train_pictures)],
        [(f"held out, {d:.3f}", image) for d, image in zip(record.pair_other, record.held_pictures)],
    ]
    return gallery(f"Nearest of {record.n} samples of {record.provenance.model['name']} ({record.spaces[0]})", lines)


def rows(record: DataCopying) -> pd.DataFrame:
    """One comparison a row, in each space."""
    tables = []
    for i, space in enumerate(record.spaces):
        ends = ("value", "low", "high")
        whole = [
            {"test": "nearest row is a training row", "chance": record.chance, "p": record.share_p[i]}
            | dict(zip(ends, record.share[i])),
            {"test": "nearer than all but 5 % of held-out rows", "chance": 0.05} | dict(zip(ends, record.near[i])),
            {"test": "the same, relative to held-out rows", "chance": 0.05} | dict(zip(ends, record.close[i])),
            {"test": "nearer than a held-out row", "chance": 0.5} | dict(zip(ends, record.area[i])),
            {"test": "rank statistic, all", "value": record.z[i], "chance": 0.0},
            {"test": "rank statistic, mean of cells", "value": record.c_t[i], "chance": 0.0},
        ]
        each = pd.DataFrame(
            {
                "test": [f"relatively nearer than a held-out row, {name}" for name in record.tests],
                "n": record.size[i],
                "value": record.ahead[i],
                "low": record.low[i],
                "high": record.high[i],
                "chance": 0.5,
                "p": record.p[i],
            }
        )
        table = pd.concat([pd.DataFrame(whole).assign(n=record.n), each], ignore_index=True)
        table.insert(0, "space", space)
        tables.append(table[["space", "test", "n", *ends, "chance", "p"]])
    return pd.concat(tables, ignore_index=True)


def says(record: DataCopying) -> str:
    """How near samples lie to training rows, beside held-out rows; and what was not searched."""
    name, searched = record.provenance.model["name"], f"{record.n_train:,} training rows"
    if record.trained > record.n_train:
        searched += f" (of {record.trained:,} that the model was trained on: copies of the others are not seen)"
    near, close = (number(*values[0]) for values in (record.near, record.close))
    rank = f"The rank statistic of the distances is {record.z[0]:.1f}"
    if not np.isnan(record.c_t[0]):  # no cell of a small sample has enough rows
        rank = f"The rank statistic of the distances, mean of cells, is {record.c_t[0]:.1f}"
    return (
        f"Of {record.n} samples of {name}, {near} lie nearer to one of {searched} than all but 0.05 of {record.n_held} "
        f"held-out rows do ({record.spaces[0]}); relative to their distance from held-out rows {close} do. {rank}; copying "
        "shows far below 0."
    )
