"""How feature visualisations look: images made for each unit beside the best real one and one for random weights."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.records.visualize_features import FeatureVisualization
from labkit.views._gallery import gallery

LINES, STARTS = 8, 3


def figure(record: FeatureVisualization) -> go.Figure:
    """One unit a line: the real image that excites it most, the images made, and that for random weights; over each how
    many standard deviations over the usual real image it lies."""
    best, _, random = record.standardized
    spread = np.maximum(record.spread, 1e-12)
    lines = []
    for u, name in enumerate(record.names[:LINES]):
        made = (record.reached[u] - record.usual[u]) / spread[u]
        line = [(f"{name}, real: {best[u]:.1f}", record.best_image[u])]
        line += [(f"made: {z:.1f}", image) for z, image in zip(made[:STARTS], record.images[u])]
        lines.append([*line, (f"random net: {random[u]:.1f}", record.random_images[u])])
    return gallery(f"What excites {record.layer} most, in standard deviations of real images", lines)


def rows(record: FeatureVisualization) -> pd.DataFrame:
    """One image made a row, with what its unit gives for real images and with random weights."""
    units, starts = record.reached.shape
    u, start = np.indices((units, starts)).reshape(2, -1)
    best, _, random = record.standardized
    return pd.DataFrame(
        {
            "unit": record.units[u],
            "name": np.array(record.names)[u],
            "start": start,
            "reached": record.reached.ravel(),
            "start of random phases": record.noise.ravel(),
            "best real image": record.best[u],
            "usual real image": record.usual[u],
            "standard deviation": record.spread[u],
            "similarity of starts": record.similarity[u],
            "best real image, standardized": best[u],
            "random net reached, standardized": random[u],
            "random net's best real image": record.random_best[u],
        }
    )


def says(record: FeatureVisualization) -> str:
    """How far beyond real images the units are driven, and how far those of a model with random weights are."""
    best, made, random = (float(np.median(v)) for v in record.standardized)
    beyond = int((record.reached.max(1) > record.best).sum())
    units, starts = record.reached.shape
    start = (
        f"Images made for {units} units of {record.layer} lie {made:.1f} standard deviations over the usual real image "
        f"(median), the best of {record.searched:,} real images {best:.1f}; {beyond} of {units} units are driven beyond it"
    )
    alike = "" if starts < 2 else f"; {starts} starts correlate to {float(np.mean(record.similarity)):.2f}"
    return f"{start}. With random weights they lie {random:.1f} over it: being excited is no evidence of having learned{alike}."
