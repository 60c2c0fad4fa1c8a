"""How a loss landscape looks: the plane as a map with contour lines, and cross-sections, on axes that are the same for
every model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.records.loss_landscape import LossLandscape
from labkit.views._style import COLOURS, DASHES, NEUTRAL, base, rgba

LOW, HIGH = 0.01, 100.0  # nats: the same colours and heights in each figure, so that two models can be compared
REACH = (1e-4, 1e3)  # of the cross-sections, unless they go further
LEVELS = [m * 10.0**e for e in range(-2, 3) for m in (1, 2, 5)]
LIGHT = 2.0  # nats from which the colours are light
FLOOR = 1e-6  # a loss of 0 has no logarithm


def figure(record: LossLandscape) -> go.Figure:
    """The mean loss on the plane, with contour lines at 1, 2 and 5 of each power of ten; and along each direction with
    a 95 % band over rows. The dotted line is the loss of guessing among the classes."""
    titles = ["loss (nats) on a plane of two directions", "along each direction"]
    result = make_subplots(1, 2, subplot_titles=titles, column_widths=[0.46, 0.54], horizontal_spacing=0.17)
    name = record.provenance.model["name"]
    result.update_layout(base(f"Loss around the weights of {name} ({record.n} rows)", height=420).layout)
    result.update_annotations(font_size=12)
    _plane(result, record)
    _sections(result, record)
    result.update_xaxes(gridcolor=rgba(NEUTRAL, 0.25), zeroline=False)
    result.update_yaxes(gridcolor=rgba(NEUTRAL, 0.25), zeroline=False)
    result.update_layout(legend={"y": -0.2, "x": 1, "xanchor": "right"}, margin={"t": 78})
    return result


def _plane(result: go.Figure, record: LossLandscape) -> None:
    decades = np.arange(np.log10(LOW), np.log10(HIGH) + 1)
    shades = go.Heatmap(
        z=np.log10(np.maximum(record.loss, FLOOR)),
        x=record.place,
        y=record.place,
        zmin=np.log10(LOW),
        zmax=np.log10(HIGH),
        colorscale="cividis",
        customdata=record.loss,
        hovertemplate="first %{x:.2f}, second %{y:.2f}: %{customdata:.3g} nats<extra></extra>",
        colorbar={
            "tickvals": decades,
            "ticktext": [f"{10.0**d:g}" for d in decades],
            "x": 0.385,
            "thickness": 12,
        },
    )
    result.add_trace(shades, row=1, col=1)
    inside, labelled = 0.9 * record.place[-1], [(np.inf, np.inf)]
    for x, y, level in reversed(_contours(record)):
        ink = "#ffffff" if level < LIGHT else "#111111"
        line = go.Scatter(x=x, y=y, mode="lines", line={"color": ink, "width": 1}, showlegend=False)
        result.add_trace(line.update(hoverinfo="skip"), row=1, col=1)
        within = (np.abs(x) <= inside) & (y <= inside)
        if not within.any():
            continue
        top = int(np.argmax(np.where(within, y, -np.inf)))
        if np.abs(np.array(labelled) - (x[top], y[top])).max(1).min() < 0.09 * (record.place[-1] - record.place[0]):
            continue  # its number would lie on another's
        labelled.append((float(x[top]), float(y[top])))
        text = go.Scatter(x=[x[top]], y=[y[top]], mode="text", text=[f"{level:g}"], showlegend=False, hoverinfo="skip")
        result.add_trace(text.update(textfont={"color": ink, "size": 11}), row=1, col=1)
    marker = {"color": COLOURS[1], "size": 9, "symbol": "x"}
    result.add_scatter(
        x=[0], y=[0], mode="markers", marker=marker, name="the model", showlegend=False, hoverinfo="skip", row=1, col=1
    )
    ends = _ends(record.place)
    result.update_xaxes(title_text="first direction (filter lengths)", range=ends, row=1, col=1)
    result.update_yaxes(title_text="second direction (filter lengths)", range=ends, row=1, col=1)


def _contours(record: LossLandscape) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """The lines of each level that the plane crosses, as one line with gaps."""
    from contourpy import contour_generator

    logs = np.log10(np.maximum(record.loss, FLOOR))
    lines = contour_generator(record.place, record.place, logs)  # of one line type: arrays of points
    found = []
    for level in LEVELS:
        parts = [np.vstack([part, np.full((1, 2), np.nan)]) for part in map(np.asarray, lines.lines(np.log10(level)))]
        if parts:
            x, y = np.vstack(parts)[:-1].T
            found.append((x, y, level))
    return found


def _sections(result: go.Figure, record: LossLandscape) -> None:
    x = record.place
    for i, (loss, error) in enumerate(zip(record.sections, record.section_error)):
        look = {"color": COLOURS[i % len(COLOURS)], "dash": DASHES[i % len(DASHES)]}
        low, high = (np.maximum(loss + side * 1.96 * error, FLOOR) for side in (-1, 1))
        band = go.Scatter(x=[*x, *x[::-1]], y=[*high, *low[::-1]], fill="toself", fillcolor=rgba(look["color"], 0.15))
        result.add_trace(band.update(line={"width": 0}, mode="lines", showlegend=False, hoverinfo="skip"), row=1, col=2)
        result.add_scatter(x=x, y=loss, mode="lines", line=look, name=f"direction {i + 1}", row=1, col=2)
    guess = float(np.log(record.classes))
    ends = {"x0": float(x[0]), "x1": float(x[-1]), "y0": guess, "y1": guess}
    result.add_shape(type="line", **ends, line={"dash": "dot", "width": 1.2, "color": NEUTRAL}, row=1, col=2)
    known = record.sections[np.isfinite(record.sections)]
    reach = np.log10([min(REACH[0], max(known.min(), FLOOR)), max(REACH[1], 1.2 * known.max())])
    ticks = [10.0**e for e in range(int(np.ceil(reach[0])), int(reach[1]) + 1)]
    result.update_yaxes(
        title_text="loss (nats)", type="log", range=list(reach), tickvals=ticks, ticktext=[f"{t:g}" for t in ticks],
        row=1, col=2,
    )  # fmt: skip
    result.update_xaxes(title_text="step (filter lengths); dotted: guessing", range=_ends(x), row=1, col=2)


def _ends(place: np.ndarray) -> list[float]:
    """The axis from the first step to the last, with half a step of room."""
    room = (place[1] - place[0]) / 2
    return [float(place[0] - room), float(place[-1] + room)]


def rows(record: LossLandscape) -> pd.DataFrame:
    """One measure a row, with its interval where it has one, and what it depends on."""
    measures = [
        ("loss of the model (nats)", *record.here, ""),
        ("accuracy", *record.accuracy, ""),
        ("largest eigenvalue of the Hessian", *record.largest, "changes when layers are rescaled"),
        ("least eigenvalue of the Hessian, at most", record.least, np.nan, np.nan, "changes when layers are rescaled"),
        ("trace of the Hessian", *record.trace, "changes when layers are rescaled"),
        ("curvature along filter-normalised directions", *record.relative, "the same when layers are rescaled"),
        (f"worst rise in a ball of {record.radius:g}, at least", *record.worst, "the same when layers are rescaled"),
        ("rise at a random place of that ball", *record.chance, "the same when layers are rescaled"),
    ]
    table = pd.DataFrame(measures, columns=["measure", "value", "low", "high", "note"])
    table.insert(1, "n", record.n)
    return table


def says(record: LossLandscape) -> str:
    """How sharp the loss is, in numbers that depend on how the net is written and in such that do not."""
    return (
        f"On {record.n} rows the loss of {record.provenance.model['name']} is {_wide(record.here)} nats. Its Hessian's "
        f"largest eigenvalue is {_wide(record.largest)}, its trace {_wide(record.trace)}; both "
        f"change when layers are rescaled. The curvature along filter-normalised directions is {_wide(record.relative)}, and "
        f"moving the weights by {record.radius:g} in units of their own size raises the loss by at least "
        f"{_wide(record.worst)} (a random step: {_wide(record.chance)}); these do not. None proves generalisation."
    )


def _wide(triple: tuple[float, float, float]) -> str:
    """A value of any size, with its interval."""
    value, low, high = triple
    return f"{value:.3g} ({low:.3g} to {high:.3g})"
