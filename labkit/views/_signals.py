"""Explanations of what runs in time, sound and series: the signal, and under it what each moment contributes."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.records.explain import Explanation
from labkit.views._deletion import curve, deletion, title
from labkit.views._maps import heading, limit
from labkit.views._style import COLOURS, DASHES, NEUTRAL, base

SHOWN, CHANNELS = 3, 3  # examples, and channels of each
POINTS = 400  # longer signals are drawn by stretches
_CHANNEL = tuple(c for c in COLOURS if c not in (COLOURS[1], NEUTRAL))  # the two others are the attributions'


def figure(record: Explanation) -> go.Figure:
    """Two panels an example over one axis of time: the signal, and its attribution beside the random-weights control; at
    their side the deletion curve.

    Of a series with many channels those with the largest attribution are drawn; the attribution is the sum over all. A
    long signal is drawn by stretches: from its least to its greatest value, and the sum of the attributions in each.
    Steps of a series that are its baseline, such as padding, are left out: there is nothing to attribute.
    """
    shown, control = min(SHOWN, len(record)), record.control
    curves = deletion(record) is not None
    titles = [text for i in range(shown) for text in (heading(record, i), *([title(record, i)] if curves else []), "")]
    result = make_subplots(
        2 * shown,
        2 if curves else 1,
        specs=[[{}, {"rowspan": 2}], [{}, None]] * shown if curves else None,
        column_widths=[0.76, 0.24] if curves else None,
        subplot_titles=titles,
        vertical_spacing=0.16 / shown,
    )
    result.update_layout(base(f"{record.method}: signal and attribution", height=130 + 260 * shown).layout)
    result.update_annotations(font_size=12)
    for i in range(shown):
        signal, values = _without_padding(record, i), record.attribution[i]
        _signal(result, signal, values, 2 * i + 1)
        summed = _by_stretch(values)
        line(result, summed, (2 * i + 2, 1), COLOURS[1], "attribution", every=_stretch(signal), legend=i == 0)
        if control is not None:
            other = _by_stretch(control[i])
            scaled = other * (limit(summed) / limit(other))
            name, every = "random weights, scaled", _stretch(signal)
            line(result, scaled, (2 * i + 2, 1), NEUTRAL, name, every=every, dash=DASHES[2], legend=i == 0)
        result.update_yaxes(zeroline=True, row=2 * i + 2, col=1)
        result.update_xaxes(range=[0, record.x.shape[-1] - 1], col=1)
        noun = "samples" if record.modality == "audio" else "values"
        curve(result, record, i, noun, (2 * i + 1, 2), last=i + 1 == shown)
    unit = "sample" if record.modality == "audio" else "step"
    every = _stretch(record.x[0])
    each = f"{unit} (attributions summed over {every} each)" if every > 1 else unit
    result.update_xaxes(title_text=each, row=2 * shown, col=1)
    return result


def line(
    figure: go.Figure,
    values: np.ndarray,
    at: tuple[int, int],
    colour: str,
    name: str,
    *,
    every: int = 0,
    dash: str = "solid",
    legend: bool = False,
) -> None:
    """One line over time: a value each ``every`` places, or with 0 all of them, long ones as their outline."""
    if every:
        place = np.arange(len(values)) * every
    else:
        place, values = _outline(values)
    style = {"color": colour, "dash": dash, "width": 1.5}
    trace = go.Scatter(x=place, y=values, mode="lines", name=name, legendgroup=name, showlegend=legend, line=style)
    figure.add_trace(trace, row=at[0], col=at[1])


def _signal(figure: go.Figure, signal: np.ndarray, values: np.ndarray, row: int) -> None:
    channels = np.atleast_2d(signal)
    if len(channels) == 1:
        line(figure, channels[0], (row, 1), COLOURS[0], "signal", legend=row == 1)
        return
    largest = np.sort(np.argsort(-np.abs(values).sum(1), kind="stable")[:CHANNELS])
    for channel in largest:
        name = f"channel {channel}"
        known = {trace.name for trace in figure.data}
        turn, place = divmod(int(channel), len(_CHANNEL))
        dash = DASHES[turn % len(DASHES)]
        line(figure, channels[channel], (row, 1), _CHANNEL[place], name, dash=dash, legend=name not in known)


def _without_padding(record: Explanation, i: int) -> np.ndarray:
    """A signal whose steps are no numbers where a series is its baseline in all channels."""
    if record.modality == "audio":
        return record.x[i]
    return np.where((record.x[i] == record.baseline[i]).all(0), np.nan, record.x[i])


def _stretch(signal: np.ndarray) -> int:
    """How many places are drawn as one."""
    return max(1, -(-signal.shape[-1] // POINTS))


def _by_stretch(values: np.ndarray) -> np.ndarray:
    """(stretches,) sums over channels and places."""
    whole = np.atleast_2d(values).sum(0)
    return np.add.reduceat(whole, np.arange(0, len(whole), _stretch(values)))


def _outline(signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places and values: of a long signal the least and the greatest value of each stretch."""
    every = _stretch(signal)
    starts = np.arange(0, len(signal), every)
    if every == 1:
        return starts, signal
    both = np.stack([np.minimum.reduceat(signal, starts), np.maximum.reduceat(signal, starts)], 1)
    return np.repeat(starts, 2), both.ravel()
