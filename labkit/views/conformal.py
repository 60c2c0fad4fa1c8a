"""How conformal sets look: coverage of all, of classes, of groups and by size of set, beside what was promised."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.intervals import wilson
from labkit.core.words import number, p_value, share
from labkit.records.conformal import Conformal
from labkit.views._forest import band, mark, span
from labkit.views._style import COLOURS, MARKERS, base, errors

MOST = 40  # classes and groups that are drawn: those that are covered least
SIZES = "size of set"


def figure(record: Conformal) -> go.Figure:
    """Coverage with 95 % intervals, dashed what was promised, grey where 95 % of coverages lie if these rows are like those
    calibrated on; beside it the mean size of the sets. Open marks are of fewer rows than are judged. Of more than 40 classes
    and groups those that are covered least."""
    table = rows(record)
    cells = np.flatnonzero((table["part"] != "all") & (table["part"] != SIZES) & (table["n"] > 0))
    shown = np.sort(cells[np.argsort(table["coverage"].to_numpy()[cells], kind="stable")[:MOST]])
    every = np.concatenate([[0], shown, np.flatnonzero((table["part"] == SIZES) & (table["n"] > 0))])
    drawn = table.iloc[every].reset_index(drop=True)
    count = len(drawn)
    titles = ["coverage (dashed: promised; grey: 95 % if like those calibrated on)", "mean size of set"]
    result = make_subplots(1, 2, horizontal_spacing=0.05, column_widths=[0.62, 0.38], subplot_titles=titles)
    height = 150 + 24 * count
    title = f"Sets promised to hold the true class in {share(record.level)}, {record.n} rows, 95 % intervals"
    result.update_layout(base(title, height=height).layout)
    result.update_layout(margin={"l": 230, "t": 80}, showlegend=False)
    result.update_annotations(font_size=12)
    y = np.arange(count)
    for at in y[~np.isnan(drawn["band low"])]:
        row = drawn.iloc[at]
        band(result, (row["band low"], row["band high"]), (at, at), row=1, col=1)
    kinds = {part: i for i, part in enumerate(dict.fromkeys(drawn["part"]))}
    for part, i in kinds.items():
        here = np.flatnonzero(drawn["part"] == part)
        few = (drawn["n"] < record.least).to_numpy()[here]
        shape = MARKERS[i % len(MARKERS)]
        colour = COLOURS[i % len(COLOURS)]
        look = {"color": colour, "size": 8, "symbol": [f"{shape}-open" if f else shape for f in few]}
        for column, name in ((1, "coverage"), (2, "mean size")):
            value, low, high = (drawn[f"{name}{end}"].to_numpy()[here] for end in ("", " low", " high"))
            bars = errors(value, np.where(np.isnan(low), value, low), np.where(np.isnan(high), value, high))
            result.add_scatter(x=value, y=here, error_x=bars, mode="markers", marker=look, name=part, row=1, col=column)
    mark(result, record.level, count, "dash", row=1, col=1)
    ends = [drawn[c].to_numpy() for c in ("coverage low", "coverage high", "band low", "band high")]
    result.update_xaxes(range=span(*ends, record.level), row=1, col=1)
    result.update_xaxes(rangemode="tozero", row=1, col=2)
    names = [
        f"{p}: {c} (n = {n})" if c else f"all (n = {n})" for p, c, n in zip(*(drawn[k] for k in ("part", "cell", "n")))
    ]
    for column, ticks in ((1, names), (2, [""] * count)):
        result.update_yaxes(
            tickvals=y.tolist(), ticktext=ticks, range=[count - 0.4, -0.6], zeroline=False, row=1, col=column
        )
    return result


def rows(record: Conformal) -> pd.DataFrame:
    """All rows, then a class, a group or a size of set a row: coverage and mean size with intervals, the band of rows that are
    like those calibrated on, and p of a coverage as low."""
    nothing = np.full(len(record.sizes), np.nan)
    n = np.concatenate([[record.n], record.cell_n, record.sized])
    hits = np.concatenate([[round(record.coverage[0] * record.n)], record.covered, record.covered_of_size])
    low, high = wilson(hits, n)
    sizes = [str(s) for s in record.sizes]
    each = {
        "mean size": (record.size[0], record.cell_size, record.sizes.astype(float)),
        "mean size low": (record.size[1], record.cell_size_low, nothing),
        "mean size high": (record.size[2], record.cell_size_high, nothing),
        "band low": (record.band_low, record.cell_band_low, nothing),
        "band high": (record.band_high, record.cell_band_high, nothing),
        "p": (record.p_low, record.cell_p, nothing),
        "p (Holm)": (np.nan, record.cell_p_holm, nothing),
    }
    return pd.DataFrame(
        {
            "part": ["all", *(record.features[f] for f in record.feature_of), *[SIZES] * len(sizes)],
            "cell": ["", *record.cell.tolist(), *sizes],
            "n": n,
            "covered": hits,
            "coverage": np.divide(hits, n, out=np.full(len(n), np.nan), where=n > 0),
            "coverage low": low,
            "coverage high": high,
            **{name: np.concatenate([[one], cells, size]) for name, (one, cells, size) in each.items()},
        }
    )


def says(record: Conformal) -> str:
    """Coverage beside what was promised and what chance allows, the size of the sets, and who is covered least."""
    known = np.flatnonzero(record.ranked)
    worst = ""
    if len(known):
        at = known[np.argmin(record.covered[known] / record.cell_n[known])]
        low, high = wilson(record.covered[at], record.cell_n[at])
        part = f"{record.features[record.feature_of[at]]} {record.cell[at]}"
        covered = number(record.covered[at] / record.cell_n[at], float(low), float(high))
        worst = f" Least covered: {part}, {covered} of {record.cell_n[at]} rows."
    return (
        f"Sets promised to hold the true class with probability {record.level:g} do so in {number(*record.coverage)} of "
        f"{record.n} rows, calibrated on {record.calibrated_on} others; rows like those lie between {number(record.band_low)} and "
        f"{number(record.band_high)} in 95 of 100 calibrations ({p_value(record.p_low)} for so few). A set has "
        f"{number(*record.size)} classes on average, and {share(record.sized[1] / record.n)} have one.{worst}"
    )
