"""How canaries look: their exposure, and how often they are recognised, by the number of copies that were planted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import number
from labkit.records.canaries import Canaries
from labkit.views._style import COLOURS, MARKERS, NEUTRAL, base, errors, rgba

APART = 0.08  # of one kind's marks from the next's, in steps of the axis


def figure(record: Canaries) -> go.Figure:
    """Left exposure, right the rate at which canaries are recognised, both by copies and with what chance shows."""
    rate = f"{100 * record.fpr[-1]:g} of 100 strangers mistaken"
    titles = [f"exposure in bits, {record.bits:.1f} at most", f"recognised, {rate}"]
    result = make_subplots(1, 2, subplot_titles=titles, horizontal_spacing=0.09)
    under = f", epsilon {record.epsilon:.3g}" if record.private else ""
    heading = f"Planted rows: {record.count} of each kind and number, {record.models} models{under}"
    result.update_layout(base(heading, height=420).layout, margin={"t": 84})
    places = np.arange(len(record.repeats))
    for k, kind in enumerate(record.kinds):
        at = places + APART * (k - (len(record.kinds) - 1) / 2)
        exposure = record.exposure[k], record.exposure_low[k], record.exposure_high[k]
        known = tuple(v[k, :, -1] for v in (record.recognized, record.recognized_low, record.recognized_high))
        for column, values in enumerate((exposure, known), 1):
            result.add_scatter(
                x=at,
                y=values[0],
                mode="lines+markers",
                name=kind,
                legendgroup=kind,
                showlegend=column == 1,
                line={"color": COLOURS[k], "width": 1.5},
                marker={"color": COLOURS[k], "symbol": MARKERS[k], "size": 9},
                error_y=errors(*values),
                row=1,
                col=column,
            )
    ends = [-0.4, len(places) - 0.6]
    for column, chance in enumerate((record.by_chance, float(record.fpr[-1])), 1):
        dash = {"dash": "dash", "color": NEUTRAL, "width": 1.4}
        look = {"mode": "lines", "line": dash, "name": "chance", "legendgroup": "chance", "showlegend": column == 1}
        result.add_scatter(x=ends, y=[chance] * 2, **look, row=1, col=column)
    result.update_xaxes(gridcolor=rgba(NEUTRAL, 0.25), zeroline=False)
    result.update_yaxes(gridcolor=rgba(NEUTRAL, 0.25))
    result.update_xaxes(
        title_text="copies planted", tickvals=places, ticktext=list(map(str, record.repeats)), range=ends
    )
    result.update_yaxes(range=[0, record.bits * 1.05], row=1, col=1)
    result.update_yaxes(range=[0, 1.05], row=1, col=2)
    return result


def rows(record: Canaries) -> pd.DataFrame:
    """One kind of canary and number of copies a row."""
    kind, times = np.indices((len(record.kinds), len(record.repeats))).reshape(2, -1)
    table = pd.DataFrame(
        {
            "kind": np.array(record.kinds)[kind],
            "copies": np.array(record.repeats)[times],
            "canaries": record.count,
            "exposure": record.exposure.ravel(),
            "exposure low": record.exposure_low.ravel(),
            "exposure high": record.exposure_high.ravel(),
            "exposure without it": record.exposure_absent.ravel(),
            "given its label": record.answered.ravel(),
            "given its label without it": record.answered_absent.ravel(),
        }
    )
    for f, rate in enumerate(record.fpr):
        name = f"recognised at {rate:g}"
        table[name] = record.recognized[:, :, f].ravel()
        table[f"{name}, low"] = record.recognized_low[:, :, f].ravel()
        table[f"{name}, high"] = record.recognized_high[:, :, f].ravel()
        table[f"mistaken at {rate:g}"] = record.mistaken[kind, f]
    return table


def says(record: Canaries) -> str:
    """The kind that is recognised most with the fewest copies, what it takes, and what a promise came to."""
    value = record.recognized[:, 0, -1]
    k = int(value.argmax())
    once = "once" if record.repeats[0] == 1 else f"{record.repeats[0]} times"
    known = number(value[k], record.recognized_low[k, 0, -1], record.recognized_high[k, 0, -1])
    taken = number(record.mistaken[k, -1], record.mistaken_low[k, -1], record.mistaken_high[k, -1])
    told = (
        f"A {record.kinds[k]} that is planted {once} among {record.rows:,} rows is recognised with a rate of {known}, a "
        f"stranger mistaken for one with {taken} ({record.count} canaries, {record.models} models)"
    )
    needed = {kind: record.noticed(i) for i, kind in enumerate(record.kinds)}
    some = [f"{kind} {n}" for kind, n in needed.items() if n]
    most = max(record.repeats)
    enough = f"copies until it shows: {', '.join(some)}" if some else f"up to {most} copies none shows"
    if not record.private:
        return f"{told}; {enough}."
    return (
        f"{told}; {enough}. Promised was epsilon {record.epsilon:.3g}; {record.right} of {record.guesses} guesses about single "
        f"canaries are right, by which it is at least {record.least_epsilon:.2g}; accuracy {number(*record.accuracy)} on "
        f"{record.n_test:,} test rows."
    )
