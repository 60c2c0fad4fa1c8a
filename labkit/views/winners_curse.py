"""How the best of several candidates looks: all of them in order, and what remains of the best one's lead."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.words import number, p_value, spoken
from labkit.records.winners_curse import WinnersCurse
from labkit.views._style import COLOURS, MARKERS, base, errors

# Beyond so many candidates the interval of each alone would only be a smear.
MANY = 40


def figure(record: WinnersCurse) -> go.Figure:
    """Every candidate's value by rank, with the interval that it would have alone (up to 40 of them); the chosen one's
    corrected value and interval beside the first; the dashed line is the median candidate."""
    name, count = spoken(record.metric), len(record.values)
    order = np.argsort(-(record.better or 1) * record.values, kind="stable")
    order = np.r_[record.chosen, order[order != record.chosen]]
    values, lows, highs = (v[order] for v in (record.values, record.lows, record.highs))
    result = base(
        f"{name} of {count} candidates on the same {record.n} rows", x="rank among the candidates", y=name, height=400
    )
    result.add_scatter(
        x=np.arange(1, count + 1),
        y=values,
        mode="markers",
        name="as it looks (95 % interval of each alone)" if count <= MANY else "as it looks",
        error_y=errors(values, lows, highs) if count <= MANY else None,
        marker={"size": 8 if count <= MANY else 5, "color": COLOURS[0], "symbol": MARKERS[0]},
    )
    ends = (np.array([v]) for v in (record.corrected, record.corrected_low, record.corrected_high))
    result.add_scatter(
        x=[1 - 0.02 * (count + 4)],
        y=[record.corrected],
        mode="markers",
        name="the best, corrected for having been chosen (95 % interval)",
        error_y=errors(*ends),
        marker={"size": 11, "color": COLOURS[1], "symbol": MARKERS[1]},
    )
    line = {"dash": "dash", "width": 1.2, "color": COLOURS[6]}
    result.add_scatter(
        x=[1 - 0.05 * (count + 4), count + 0.5],
        y=[record.median] * 2,
        mode="lines",
        name="the median candidate",
        line=line,
    )
    result.update_layout(legend={"y": -0.25}, margin={"b": 110})
    return result


def rows(record: WinnersCurse) -> pd.DataFrame:
    """A candidate a row, and the corrected value of the chosen one last."""
    table = pd.DataFrame(
        {"candidate": record.names, "value": record.values, "low": record.lows, "high": record.highs, "n": record.n}
    )
    table["chosen"] = np.arange(len(table)) == record.chosen
    last = {
        "candidate": f"{record.names[record.chosen]}, corrected",
        "value": record.corrected,
        "low": record.corrected_low,
        "high": record.corrected_high,
        "n": record.n,
        "chosen": True,
    }
    table = pd.concat([table, pd.DataFrame([last])], ignore_index=True)
    table.insert(0, "metric", record.metric)
    return table


def says(record: WinnersCurse) -> str:
    """The naive and the corrected value of the best, and whether it is ahead of the median beyond the choice."""
    name = spoken(record.metric)
    ahead = "further than" if record.p < 0.05 else "no further than"
    return (
        f"The best of {len(record.values)} candidates shows {name} {number(record.naive, digits=3)} on the {record.n} rows that "
        f"it was chosen on; counting the choice it is {record.corrected_low:.3f} to "
        f"{record.corrected_high:.3f} (median-unbiased {record.corrected:.3f}). It lies {ahead} the best of like "
        f"candidates would from their median, {record.median:.3f} ({p_value(record.p)})."
    )
