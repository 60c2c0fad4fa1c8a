"""How training looks: loss and validation accuracy by epoch, one line a seed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.records.train import Training
from labkit.views._style import COLOURS, DASHES, base

_CURVES = {"train_loss": "training loss", "valid_loss": "validation loss", "valid_accuracy": "validation accuracy"}


def figure(record: Training) -> go.Figure:
    """Losses on the left, validation accuracy on the right; a marker stands at the epoch that was kept."""
    figure = make_subplots(1, 2, subplot_titles=("loss", "validation accuracy"))
    figure.update_layout(base(f"Training {record.recipe}").layout)
    figure.update_xaxes(title_text="epoch")
    epochs = np.arange(1, record.train_loss.shape[1] + 1)
    for i, seed in enumerate(record.seeds):
        for j, name in enumerate(_CURVES):
            values = getattr(record, name)[i]
            column = 2 if name == "valid_accuracy" else 1
            line = {"color": COLOURS[j], "dash": DASHES[i % len(DASHES)]}
            label = f"{_CURVES[name]}, seed {seed}"
            figure.add_scatter(x=epochs, y=values, mode="lines", line=line, name=label, row=1, col=column)
        at = record.best[i]
        mark = {"color": COLOURS[2], "size": 10, "symbol": "diamond"}
        figure.add_scatter(
            x=[at + 1],
            y=[record.valid_accuracy[i, at]],
            mode="markers",
            marker=mark,
            name=f"kept, seed {seed}",
            row=1,
            col=2,
        )
    return figure


def rows(record: Training) -> pd.DataFrame:
    """One value a row: seed, epoch (from 1), curve, value."""
    table = [
        {"seed": seed, "epoch": epoch + 1, "curve": _CURVES[name], "value": float(value)}
        for name in _CURVES
        for seed, values in zip(record.seeds, getattr(record, name))
        for epoch, value in enumerate(values)
        if np.isfinite(value)
    ]
    return pd.DataFrame(table, columns=["seed", "epoch", "curve", "value"])


def says(record: Training) -> str:
    """What came out, measured on the test set, and on what it was trained."""
    i = record.chosen
    measure = "AUC" if record.measure == "auc" else record.measure
    spread = ""
    if len(record.seeds) > 1:
        spread = f"; over {len(record.seeds)} seeds {record.score.min():.4f} to {record.score.max():.4f}"
    return (
        f"{record.recipe} reaches test {measure} {record.score[i]:.4f} "
        f"(95 % interval {record.low[i]:.4f} to {record.high[i]:.4f}, n = {record.n:,}{spread}; floor {record.floor:g}), "
        f"trained on {record.hardware} in {record.precision}."
    )
