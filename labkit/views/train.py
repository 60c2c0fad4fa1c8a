"""How training looks: loss and validation accuracy by epoch, one line a seed; and what it gave."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.records.train import Training
from labkit.views._style import COLOURS, DASHES, base

_CURVES = {"train_loss": "training loss", "valid_loss": "validation loss", "valid_accuracy": "validation accuracy"}


def figure(record: Training) -> go.Figure:
    """Losses on the left, validation accuracy on the right where there is one; a marker stands at the epoch that was kept.

    A model that no gradient trained has no curves: then its measures are drawn, each run with its interval.
    """
    if not record.train_loss.shape[1]:
        return _scores(record)
    judged = bool(np.isfinite(record.valid_accuracy).any())
    figure = make_subplots(1, 1 + judged, subplot_titles=("loss", "validation accuracy")[: 1 + judged])
    figure.update_layout(base(f"Training {record.recipe}").layout)
    figure.update_xaxes(title_text="epoch")
    epochs = np.arange(1, record.train_loss.shape[1] + 1)
    shown = list(_CURVES)[: 2 + judged]
    for i, seed in enumerate(record.seeds):
        for j, name in enumerate(shown):
            line = {"color": COLOURS[j], "dash": DASHES[i % len(DASHES)]}
            label, column = f"{_CURVES[name]}, seed {seed}", 1 + (name == "valid_accuracy")
            values = getattr(record, name)[i]
            figure.add_scatter(x=epochs, y=values, mode="lines", line=line, name=label, row=1, col=column)
        at = record.best[i]
        mark = {"color": COLOURS[2], "size": 10, "symbol": "diamond"}
        kept = [(record.valid_accuracy if judged else record.valid_loss)[i, at]]
        label = f"kept, seed {seed}"
        figure.add_scatter(x=[at + 1], y=kept, mode="markers", marker=mark, name=label, row=1, col=1 + judged)
    return figure


def _scores(record: Training) -> go.Figure:
    figure = base(f"Test scores of {record.recipe}")
    for i, seed in enumerate(record.seeds):
        reach = {"array": record.high[i] - record.score[i], "arrayminus": record.score[i] - record.low[i]}
        figure.add_bar(
            x=list(record.measures), y=record.score[i], error_y=reach, name=f"seed {seed}",
            marker={"color": COLOURS[i % len(COLOURS)]},
        )  # fmt: skip
    return figure


def rows(record: Training) -> pd.DataFrame:
    """One value a row: seed, epoch (from 1; none for a score), curve or measure, value and the ends of its interval."""
    curves = [
        {"seed": seed, "epoch": epoch + 1, "what": _CURVES[name], "value": float(value)}
        for name in _CURVES
        for seed, values in zip(record.seeds, getattr(record, name))
        for epoch, value in enumerate(values)
        if np.isfinite(value)
    ]
    scores = [
        {"seed": seed, "what": f"test {name}", "value": record.score[i, j], "low": record.low[i, j],
         "high": record.high[i, j], "n": int(record.n[j])}
        for i, seed in enumerate(record.seeds)
        for j, name in enumerate(record.measures)
        if np.isfinite(record.score[i, j])
    ]  # fmt: skip
    return pd.DataFrame(curves + scores, columns=["seed", "epoch", "what", "value", "low", "high", "n"])


def says(record: Training) -> str:
    """What came out, measured on the test set, and on what it was trained."""
    told = "; ".join(_told(record, j) for j in range(len(record.measures)))
    return (
        f"{record.recipe}: {told}. Trained on {record.hardware} in {record.precision}, "
        f"{record.provenance.seconds:,.0f} s for {len(record.seeds)} seed{'s' if len(record.seeds) > 1 else ''}."
    )


def _told(record: Training, j: int) -> str:
    """One measure of the shipped run: value, interval, n, spread over seeds, and what was asked."""
    i = record.chosen
    parts = []
    if np.isfinite([record.low[i, j], record.high[i, j]]).all():
        parts.append(f"95 % interval {record.low[i, j]:.4f} to {record.high[i, j]:.4f}")
    parts.append(f"n = {record.n[j]:,}")
    seeds = record.score[:, j][np.isfinite(record.score[:, j])]
    if len(seeds) > 1:
        parts.append(f"over {len(seeds)} seeds {seeds.min():.4f} to {seeds.max():.4f}")
    missed = "" if record.met[j] else ", not reached"
    parts += [
        f"{word} {bound[j]:g}{missed}"
        for word, bound in (("floor", record.floor), ("ceiling", record.ceiling))
        if np.isfinite(bound[j])
    ]
    return f"{record.measures[j]} {record.score[i, j]:.4f} ({', '.join(parts)})"
