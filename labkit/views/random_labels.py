"""How training on random labels looks: how fast labels are fitted that mean nothing, and scores on permuted labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import number, p_value, share
from labkit.records.random_labels import RandomLabels
from labkit.views._forest import span
from labkit.views._style import COLOURS, DASHES, MARKERS, NEUTRAL, base


def figure(record: RandomLabels) -> go.Figure:
    """Training accuracy by epoch, a line a level, where a learner was trained; beside it each score on permuted labels, with
    their mean and its 95 % interval, chance, and the score on the true labels."""
    trained = len(record.share) > 0
    titles = ["share of the training rows answered as taught", "scores on permuted labels"]
    result = make_subplots(1, 1 + trained, subplot_titles=titles[not trained :], horizontal_spacing=0.12)
    heading = f"Labels that mean nothing: {record.learner}, {record.rows:,} {'training ' if record.n else ''}rows"
    result.update_layout(base(heading, height=420 if trained else 360).layout, margin={"t": 78})
    if trained:
        result.update_xaxes(title_text="epoch", row=1, col=1)
        result.update_yaxes(range=[0, 1.03], row=1, col=1)
        for i, level in enumerate(record.share):
            line = {"color": COLOURS[i % len(COLOURS)], "dash": DASHES[i % len(DASHES)], "width": 2}
            name = f"{_level(level)} ({record.models[i]} models)"
            result.add_scatter(x=record.epoch, y=record.fitted[i], mode="lines", line=line, name=name, row=1, col=1)
    _scores(result, record, 1 + trained)
    return result


def _scores(result: go.Figure, record: RandomLabels, col: int) -> None:
    """Points in rows of their own, so that equal scores do not hide each other."""
    place = {"row": 1, "col": col}
    score = np.sort(record.score)
    dots = {"size": 6, "color": COLOURS[1], "symbol": MARKERS[2], "opacity": 0.7}
    names = {"name": f"score on permuted labels ({len(score)})"}
    result.add_scatter(x=score, y=np.arange(1, len(score) + 1), mode="markers", marker=dots, **names, **place)
    bar = {
        "type": "data",
        "symmetric": False,
        "array": [record.high - record.mean],
        "arrayminus": [record.mean - record.low],
    }
    mark = {"size": 10, "color": COLOURS[1], "symbol": MARKERS[1]}
    result.add_scatter(
        x=[record.mean], y=[-1], mode="markers", marker=mark, error_x=bar, name="their mean, 95 %", **place
    )
    drawn = [(record.chance, "dot", "chance"), (record.truly, "dash", "score on the true labels")]
    for at, dash, name in drawn:
        if np.isfinite(at):
            line = {"color": NEUTRAL, "dash": dash, "width": 1.5}
            result.add_scatter(x=[at, at], y=[-2, len(score) + 1], mode="lines", line=line, name=name, **place)
    result.update_yaxes(visible=False, **place)
    result.update_xaxes(
        title_text="score", range=span(score, record.low, record.high, record.chance, record.truly), **place
    )


def _level(value: float) -> str:
    return {0.0: "true labels", 1.0: "all labels permuted"}.get(value, f"{share(value)} labels permuted")


def rows(record: RandomLabels) -> pd.DataFrame:
    """One level a row, and the scores on permuted labels in the last."""
    levels = pd.DataFrame(
        {
            "labels": [_level(v) for v in record.share],
            "models": record.models,
            "training accuracy": record.train,
            "training low": record.train_low,
            "training high": record.train_high,
            "true test accuracy": record.test,
            "low": record.test_low,
            "high": record.test_high,
            "steps until fitted": record.steps,
        }
    )
    last = {
        "labels": "permuted in training and test", "models": len(record.score), "score": record.mean, "low": record.low,
        "high": record.high, "chance": record.chance, "p": record.p,
    }  # fmt: skip
    return pd.concat([levels, pd.DataFrame([last])], ignore_index=True) if len(levels) else pd.DataFrame([last])


def says(record: RandomLabels) -> str:
    """How far labels that mean nothing are fitted, and what a procedure scores on them beside chance."""
    mean = number(record.mean, record.low, record.high, digits=3)
    control = (
        f"over {len(record.score)} permutations of all labels {record.learner} scores {mean} on average where chance is "
        f"{number(record.chance, digits=3)} ({p_value(record.p)})"
    )
    if not len(record.share):
        return f"{control[:1].upper()}{control[1:]}, and {number(record.truly, digits=3)} on the labels as they are."
    fitted = share(record.train[-1], record.train_low[-1], record.train_high[-1])
    steps = record.steps[-1]
    took = f", after {steps:,.0f} steps" if np.isfinite(steps) else ""
    return (
        f"Trained on labels permuted among {record.rows:,} rows, {record.learner} answers {fitted} as taught{took}; "
        f"{control}."
    )
