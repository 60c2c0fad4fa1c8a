"""How samples look: a grid of them, their nearest training examples, and reconstructions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.refused import Refused
from labkit.core.words import number
from labkit.records.sample import Samples
from labkit.views._maps import GREY
from labkit.views._style import base

SHOWN, ACROSS = 32, 8


def figure(record: Samples) -> go.Figure:
    """The first samples as a grid; with data, the training image nearest to each in the same place, then test images
    and their reconstructions."""
    if record.x.ndim != 4:
        given = f"samples of shape {record.x.shape}"
        raise Refused("a picture of samples", given, "samples of images, or labkit.rows(record)")
    panels = {
        "samples": record.x,
        "nearest training images": record.nearest,
        "test images": None if record.reconstruction is None else record.original,
        "their reconstructions": record.reconstruction,
    }
    shown = {title: images[:SHOWN] for title, images in panels.items() if images is not None}
    down, across = (len(shown) + 1) // 2, min(len(shown), 2)
    result = make_subplots(down, across, subplot_titles=list(shown), horizontal_spacing=0.04, vertical_spacing=0.08)
    lines = -(-min(len(record), SHOWN) // ACROSS)
    title = f"{record.provenance.model['name']}, seed {record.provenance.seed}"
    result.update_layout(base(title, height=90 + down * (40 + 52 * lines)).layout)
    result.update_annotations(font_size=12)
    for i, images in enumerate(shown.values()):
        row, col = i // 2 + 1, i % 2 + 1
        # One scale from black to white for all panels: what is paler in one is paler.
        low, high = min(0.0, float(record.x.min())), max(1.0, float(record.x.max()))
        tiles = go.Heatmap(z=grid(images), colorscale=GREY, zmin=low, zmax=high, showscale=False, hoverinfo="skip")
        result.add_trace(tiles, row=row, col=col)
        beside = result.get_subplot(row, col).yaxis.anchor
        result.update_xaxes(visible=False, constrain="domain", row=row, col=col)
        result.update_yaxes(
            visible=False, autorange="reversed", constrain="domain", scaleanchor=beside, row=row, col=col
        )
    return result


def grid(images: np.ndarray) -> np.ndarray:
    """(n, channels, height, width) images -> one grey picture of them, in lines of eight, with gaps that are nan."""
    grey = np.pad(images.mean(1), [(0, -len(images) % ACROSS), (1, 1), (1, 1)], constant_values=np.nan)
    grey[len(images) :] = np.nan
    height, width = grey.shape[1:]
    return grey.reshape(-1, ACROSS, height, width).swapaxes(1, 2).reshape(-1, ACROSS * width)


def rows(record: Samples) -> pd.DataFrame:
    """One sample or test example a row: how far the nearest training example is, and the reconstruction."""
    table = pd.DataFrame({"kind": "sample", "number": range(len(record))})
    if record.distance is None:
        return table
    table["to nearest training example"] = record.distance
    test = pd.DataFrame({"kind": "test example", "number": range(len(record)), table.columns[2]: record.usual})
    if record.error is not None:
        test["to reconstruction"] = record.error
    return pd.concat([table, test], ignore_index=True)


def says(record: Samples) -> str:
    """How near the samples lie to training examples, beside how near test examples do."""
    n, name = len(record), record.provenance.model["name"]
    start = f"{n} samples of {name} (seed {record.provenance.seed})"
    if record.distance is None or record.usual is None:
        return f"{start}; without data, whether they repeat training examples was not looked at."
    own, usual = (number(float(np.median(v))) for v in (record.distance, record.usual))
    again = "" if record.error is None else f"; reconstructions lie {number(float(np.median(record.error)))} away"
    return (
        f"{start} lie {own} (median, root mean square of a value) from the nearest of {record.among:,} training examples, "
        f"as many test examples {usual}{again}."
    )
