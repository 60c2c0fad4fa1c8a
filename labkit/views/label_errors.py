"""How suspected labels look: the first ones as pictures, or how far the search can be believed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.words import number, share
from labkit.records.label_errors import LabelErrors
from labkit.views._gallery import gallery
from labkit.views._style import COLOURS, MARKERS, base, errors

ACROSS = 6


def figure(record: LabelErrors) -> go.Figure:
    """The most suspicious pictures with the label given and the one suggested, where they were kept (``show=``);
    otherwise the estimates."""
    if record.pictures is None:
        return estimates(record)
    tiles = []
    for picture, given, suggested in zip(record.pictures, record.given, record.suggested):
        tiles.append((f"{record.classes[given]}: {record.classes[suggested]}?", picture))
    lines = [tiles[i : i + ACROSS] for i in range(0, len(tiles), ACROSS)]
    expected = number(*record.expected)
    title = (
        f"{len(record.row)} of {record.n:,} labels suspected, expected wrong of these {expected}; label: suggestion?"
    )
    return gallery(title, lines, across=ACROSS)


def estimates(record: LabelErrors) -> go.Figure:
    """The noise rate in two ways, and what the search is worth, each share with its 95 % interval."""
    named = {
        f"labels estimated wrong (n = {record.n:,})": record.rate,
        f"labels unlike the answer where it is surest (n = {record.n_sure:,})": record.sure,
        "labels unlike the answer however sure it were": record.floor,
        f"planted errors that are named (n = {record.planted:,})": record.recall,
        "planted ones among the newly named": record.precision,
        f"wrong ones expected among the {len(record.row):,} named": record.expected,
    }
    result = base(f"Suspected labels by {record.learner}, 95 % intervals", x="share", height=360)
    value, low, high = np.array(list(named.values())).T
    result.add_scatter(
        x=value,
        y=list(range(len(named))),
        mode="markers",
        error_x=errors(value, low, high),
        marker={
            "size": 9,
            "color": [COLOURS[0]] * 3 + [COLOURS[1]] * 3,
            "symbol": [MARKERS[0]] * 3 + [MARKERS[1]] * 3,
        },
        text=[number(*ends) for ends in named.values()],
        hoverinfo="text",
    )
    result.update_yaxes(tickvals=list(range(len(named))), ticktext=list(named), range=[len(named) - 0.4, -0.6])
    result.update_xaxes(range=[-0.02, 1.02])
    result.update_layout(showlegend=False, margin={"l": 370})
    return result


def rows(record: LabelErrors) -> pd.DataFrame:
    """One suspected label a row, the most suspicious first."""
    names = np.array(record.classes)
    table = pd.DataFrame(
        {
            "row": record.row,
            "label": names[record.given],
            "suggested": names[record.suggested],
            "margin": record.margin,
        }
    )
    if record.texts:
        table["text"] = pd.Series(record.texts)
    return table


def says(record: LabelErrors) -> str:
    """How many are suspected, what is estimated, and what the search finds of planted errors."""
    surest = f"however sure the learner is, {share(*record.floor)} differ from its answer"
    anew = "trained anew" if record.refitted else "not trained anew"
    told = (
        f"{len(record.row)} of {record.n:,} labels are suspected by {record.learner} (right on {share(*record.accuracy)}); "
        f"estimated wrong, hard examples counted in: {share(*record.rate)}; {surest}. Of {record.planted} labels made wrong "
        f"on purpose it names {share(*record.recall)} ({anew}), which are {share(*record.precision)} of the newly named."
    )
    if not len(record.row):
        return told
    return (
        told
        + f" Of those named, {share(*record.expected)} are expected to be wrong; look at them before correcting any."
    )
