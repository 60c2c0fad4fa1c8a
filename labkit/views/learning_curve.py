"""How a learning curve looks: training and test error by size, the law with what it foretells, a peak and its threshold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import number, p_value, share
from labkit.records.learning_curve import LearningCurve
from labkit.views._style import COLOURS, DASHES, MARKERS, NEUTRAL, base, errors, rgba

# Ticks of a logarithmic axis of errors: plotly's own leave out the order of magnitude.
SHARES = [m * 10.0**-k for k in range(5, 0, -1) for m in (1, 2, 3, 5)] + [1.0]
AXES = {"examples": "training rows", "width": "width", "epochs": "epochs"}


def figure(record: LearningCurve) -> go.Figure:
    """The gap: training and test values, means over seeds with 95 % bands. Along examples beside it, on logarithmic axes,
    the test errors with the law: solid where it was fitted, dashed beyond; held-out sizes are hollow. Along width and epochs
    lines stand at the peak, and at the threshold or the best epoch."""
    with_law = record.along == "examples"
    result = make_subplots(
        1, 1 + with_law, subplot_titles=["the gap", "the law"][: 2 * with_law], horizontal_spacing=0.11
    )
    result.update_layout(base(_heading(record), height=430).layout)
    result.update_xaxes(title_text=AXES[record.along])
    if record.along != "epochs":
        result.update_xaxes(type="log", tickvals=record.point[:: -(-len(record.point) // 8)].tolist())
    name = "share of wrong answers" if record.metric == "error" else "loss"
    result.update_yaxes(title_text=name, rangemode="tozero", col=1)
    tested = "test" if record.n else "validation"
    for look, side in enumerate(("training", tested)):
        _band(result, record, look, side)
    if with_law:
        _law(result, record)
    else:
        _marks(result, record)
    return result


def _heading(record: LearningCurve) -> str:
    on = f", {record.n:,} test rows" if record.n else ""
    noisy = f", {share(record.noise)} labels made wrong" if record.noise > 0 else ""
    what = {"examples": "Error with more training rows", "width": "Error of wider models"}
    seeds = f"{record.seeds} seed{'s' if record.seeds > 1 else ''}"
    begin = what.get(record.along, f"{record.metric.capitalize()} over training")
    return f"{begin}: {record.learner}, {seeds}{on}{noisy}"


def _band(result: go.Figure, record: LearningCurve, look: int, name: str) -> None:
    values, low, high = (
        (record.train, record.train_low, record.train_high),
        (record.test, record.test_low, record.test_high),
    )[look]
    x = record.point
    if np.isfinite(low).all():
        result.add_scatter(
            x=np.concatenate([x, x[::-1]]), y=np.concatenate([high, low[::-1]]), fill="toself", mode="lines",
            line={"width": 0}, fillcolor=rgba(COLOURS[look], 0.2), name=f"{name}, 95 %", hoverinfo="skip", row=1, col=1,
        )  # fmt: skip
    line, few = {"color": COLOURS[look], "dash": DASHES[look], "width": 2}, len(x) <= 30
    marker = {"symbol": MARKERS[look], "size": 7}
    mode = "lines+markers" if few else "lines"
    result.add_scatter(x=x, y=values.mean(1), mode=mode, line=line, marker=marker, name=name, row=1, col=1)


def _marks(result: go.Figure, record: LearningCurve) -> None:
    top = float(np.nanmax(np.r_[record.test_high, record.train_high, record.test.mean(1), record.train.mean(1)]))
    places = []
    if record.peak and record.peak.threshold == record.peak.threshold:
        places.append((record.peak.threshold, "as many numbers as equations", "dash"))
    if record.peak and record.peak.p < 0.01:
        places.append((record.peak.at[0], "peak", "dot"))
    if record.along == "epochs":
        places.append((record.best[0], "least test value" if record.n else "least validation value", "dashdot"))
    for at, name, dash in places:
        line = {"color": NEUTRAL, "dash": dash, "width": 1.5}
        result.add_scatter(x=[at, at], y=[0, top], mode="lines", line=line, name=f"{name}: {at:,.0f}", row=1, col=1)


def _law(result: go.Figure, record: LearningCurve) -> None:
    """The right panel, on logarithmic axes."""
    mean, law = record.test.mean(1), record.law
    tested = mean > 0
    least = 0.3 * mean.min(where=tested, initial=1.0)
    ticks = [v for v in SHARES if least <= v <= 1]
    result.update_yaxes(title_text="test error", type="log", tickvals=ticks, tickformat="~g", row=1, col=2)
    if law and record.told:
        beyond = [v for v in record.point[-1] * np.array([2, 4]) if v <= law.size[-1] * 1.01]
        result.update_xaxes(tickvals=[*record.point.tolist(), *beyond], row=1, col=2)
    if law:
        own, beyond = law.size <= record.point[-1], law.size >= record.point[-1]
        parts = [(own, "solid", "law"), *([(beyond, "dash", "law read on")] if record.told else [])]
        shown = own | (beyond & record.told)
        low, high = np.maximum(law.error_low[shown], least), law.error_high[shown]
        x = law.size[shown]
        result.add_scatter(
            x=np.concatenate([x, x[::-1]]), y=np.concatenate([high, low[::-1]]), fill="toself", mode="lines",
            line={"width": 0}, fillcolor=rgba(NEUTRAL, 0.2), name="law, 95 %", hoverinfo="skip", row=1, col=2,
        )  # fmt: skip
        for part, dash, name in parts:
            line = {"color": NEUTRAL, "dash": dash, "width": 2}
            result.add_scatter(x=law.size[part], y=law.error[part], mode="lines", line=line, name=name, row=1, col=2)
    looks = {
        "fitted": (MARKERS[1], "test"),
        "held out": (f"{MARKERS[1]}-open", "held out"),
        "at chance": (MARKERS[5], "at chance"),
    }
    for role, (symbol, name) in looks.items():
        rows = (record.role == role) & tested
        if not rows.any():
            continue
        bars = errors(mean[rows], np.maximum(record.test_low[rows], least), record.test_high[rows])
        marker = {"symbol": symbol, "size": 9, "color": COLOURS[1]}
        label = f"{name} (size {'fitted' if role == 'fitted' else 'not fitted'})"
        result.add_scatter(
            x=record.point[rows], y=mean[rows], mode="markers", marker=marker, error_y=bars, name=label, row=1, col=2
        )
    need = record.need
    if need and np.isfinite(need.rows[0]):
        mark = {"symbol": "star", "size": 13, "color": COLOURS[2]}
        name = f"wanted: {need.wanted:g} right"
        result.add_scatter(x=[need.rows[0]], y=[1 - need.wanted], mode="markers", marker=mark, name=name, row=1, col=2)


def rows(record: LearningCurve) -> pd.DataFrame:
    """One point a row: values with intervals, the gap, what the law foretold, and what training took."""
    foretold = np.full((3, len(record.point)), np.nan)
    if record.law:
        foretold[:, record.role == "held out"] = record.law.predicted, record.law.low, record.law.high
    return pd.DataFrame(
        {
            AXES[record.along]: record.point,
            "seeds": record.seeds,
            f"training {record.metric}": record.train.mean(1),
            "training low": record.train_low,
            "training high": record.train_high,
            f"test {record.metric}": record.test.mean(1),
            "test low": record.test_low,
            "test high": record.test_high,
            "gap": record.gap,
            "role": record.role,
            "foretold": foretold[0],
            "foretold low": foretold[1],
            "foretold high": foretold[2],
            "passes": record.passes,
            "flops": record.flops,
            "seconds": record.seconds,
            "joules": record.seconds * record.watts,
        }
    )


def says(record: LearningCurve) -> str:
    """The last point with its interval, and what the curve says of more."""
    last = record.test[-1].mean(), record.test_low[-1], record.test_high[-1]
    if record.along == "examples":
        begin = (
            f"Trained on {record.point[-1]:,} rows, {record.learner} is wrong on {share(*last)} of {record.n:,} test rows "
            f"and on {share(record.train[-1].mean())} of its own, over {record.seeds} seeds"
        )
        return f"{begin}; {_more(record)}"
    if record.metric == "loss":
        best = int(np.argmin(record.test.mean(1)))
        return (
            f"Over {record.point[-1]:,} epochs of {record.learner} the validation loss is least at epoch {record.point[best]} "
            f"({record.test[best].mean():.3f}, training loss {record.train[best].mean():.3f}) and ends at {last[0]:.3f} "
            f"(training loss {record.train[-1].mean():.3f}); {_over(record)}."
        )
    unit = "epochs" if record.along == "epochs" else "width"
    return (
        f"Along {unit} to {record.point[-1]:,} the test error of {record.learner} ends at {share(*last)} on {record.n:,} rows, "
        f"over {record.seeds} seeds, and is least at {record.best[0]:,.0f} ({record.best[1]:,.0f} to {record.best[2]:,.0f}); "
        f"{_peak(record)}."
    )


def _over(record: LearningCurve) -> str:
    """How much worse the end is than the best epoch."""
    mean = record.test.mean(1)
    by = f"it ends {mean[-1] - mean.min():.3f} above its least"
    return (
        f"{by}; one seed, so that seeds have no interval" if record.seeds == 1 else f"{by}, over {record.seeds} seeds"
    )


def _peak(record: LearningCurve) -> str:
    peak = record.peak
    if not peak or not peak.height > 0:
        return "it has no peak"
    high = f"{number(peak.height)} above the lower points on both sides ({p_value(peak.p)})"
    if peak.p >= 0.01:
        return f"no peak is shown: the highest is {high}, as seeds and test rows alone may show"
    at = f"its peak is at {peak.at[0]:,.0f} ({peak.at[1]:,.0f} to {peak.at[2]:,.0f}), {high}"
    if np.isnan(peak.threshold):
        return at
    return f"{at}; the model has as many numbers as equations at {peak.threshold:,.0f}"


def _more(record: LearningCurve) -> str:
    law = record.law
    if not record.told or not law:
        return f"what more rows would do is not measured because {record.untold}."
    told = (
        f"by a power law with exponent {number(*law.b)} twice the rows would lower the error by {number(*law.doubled)}"
    )
    return f"{told}{_needed(record)}."


def _needed(record: LearningCurve) -> str:
    need = record.need
    if not need:
        return ""
    if np.isinf(need.rows[0]):
        least = f"more than {need.rows[1]:,.0f}" if np.isfinite(need.rows[1]) else f"more than {need.most:,.0f}"
        return f"; an accuracy of {need.wanted:g} takes {least} rows: how many is not within what can be told"
    most = f"{need.rows[2]:,.0f}" if np.isfinite(need.rows[2]) else "more than can be told"
    took = record.cost(need.rows[0])
    return (
        f"; an accuracy of {need.wanted:g} takes about {need.rows[0]:,.0f} rows ({need.rows[1]:,.0f} to {most}): "
        f"{took['passes']:,.0f} passes, {took['flops']:.2g} operations, {took['seconds']:.3g} s and {took['joules']:.3g} J "
        f"a model ({record.energy})"
    )
