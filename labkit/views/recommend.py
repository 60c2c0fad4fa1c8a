"""How a recommendation looks: the methods' skill with intervals, the choice marked, and how often each wins."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import lead, share, spoken
from labkit.records.recommend import Recommendation
from labkit.views._forest import mark, span
from labkit.views._style import COLOURS, NEUTRAL, base, errors

NAMED = 3  # rivals that a sentence names
LOOKS = {"chosen": (COLOURS[1], "star"), "not told apart": (COLOURS[0], "circle"), "behind": (NEUTRAL, "circle-open")}


def figure(record: Recommendation) -> go.Figure:
    """Left each method's skill, from 0 for a random map, with its 95 % interval; right in which share of resamples of
    the examples it wins. A star is the choice, full circles are methods that it is not told apart from."""
    count = len(record.methods)
    titles = ["skill: 0 is a random map", "wins among resamples"]
    result = make_subplots(1, 2, shared_yaxes=True, subplot_titles=titles, column_widths=[0.65, 0.35])
    heading = f"faithfulness of attributions of {record.model}, {record.n} examples"
    result.update_layout(base(heading, height=150 + 28 * count).layout)
    result.update_layout(margin={"l": 190})
    grid = {"gridcolor": "rgba(127,127,127,0.25)", "zeroline": False}
    result.update_yaxes(tickvals=list(range(count)), ticktext=list(record.methods), range=[count - 0.4, -0.6], **grid)
    outcome = _outcomes(record)
    for name, (colour, symbol) in LOOKS.items():
        at = np.array([i for i in range(count) if outcome[i] == name and np.isfinite(record.skill[i])], np.int64)
        if not len(at):
            continue
        marker = {"size": 13 if symbol == "star" else 9, "color": colour, "symbol": symbol}
        parts = (record.skill[at], record.skill_low[at], record.skill_high[at])
        look = {"y": at, "mode": "markers", "marker": marker, "name": name, "row": 1}
        result.add_scatter(x=parts[0], error_x=errors(*parts), col=1, **look)
        result.add_scatter(x=record.win[at], showlegend=False, col=2, **look)
    if count:
        mark(result, 0.0, count, "dot", row=1, col=1)
    result.update_xaxes(range=span(record.skill, record.skill_low, record.skill_high, 0.0, 1.0), row=1, col=1, **grid)
    result.update_xaxes(range=[-0.04, 1.04], row=1, col=2, **grid)
    return result


def rows(record: Recommendation) -> pd.DataFrame:
    """A method a row, best first, then the controls, then the methods that are out: skill, wins, cost, and every score;
    a struck-out score says so in its name."""
    count, extra = len(record.methods), len(record.controls)
    out = len(record.excluded)
    blank = [np.nan] * (extra + out)
    table = {
        "method": [*record.methods, *record.controls, *record.excluded],
        "outcome": [*_outcomes(record), *["control"] * extra, *["out"] * out],
        "skill": [*record.skill, *blank],
        "low": [*record.skill_low, *blank],
        "high": [*record.skill_high, *blank],
        "wins": [*record.win, *blank],
        "passes": [*record.cost, *[None] * (extra + out)],
    }
    for k, (name, struck) in enumerate(zip(record.scores, record.struck)):
        values = [*record.value[:, k], *record.control[:, k]] if count else [*record.control[:, k]]
        table[f"{name}, struck out" if struck else name] = [*values, *[np.nan] * out]
    table["reason"] = [*[""] * (count + extra), *record.reasons]
    return pd.DataFrame(table)


def says(record: Recommendation) -> str:
    """The choice, or the methods that cannot be told apart, with the share of resamples and the paired lead."""
    count, dear = len(record.methods), len(record.unaffordable)
    tried = f"on {record.n} example{'s' if record.n > 1 else ''}, by {_counted(record)}"
    judged = f"{count} attribution{'s' if count > 1 else ''} judged ({_left_out(record)})"
    if count == 1 and dear:
        return f"Inconclusive: of {judged} {tried}, {record.choice} is the only one. A larger budget would judge more."
    if count == 1:
        return f"{record.choice} is the only attribution that can be believed here, {tried} ({_left_out(record)})."
    resamples = f"{share(record.win[0])} resamples of the examples"
    ahead = lead(max(record.lead, 0.0), record.lead_low, record.lead_high)
    if record.conclusive:
        return (
            f"Of {judged}, {record.choice} is the most faithful {tried}: it wins in "
            f"{resamples} and is {ahead} of {record.methods[1]} in skill."
        )
    names = [record.choice, *record.rivals[:NAMED]]
    more = len(record.rivals) - NAMED
    either = ", ".join(names[:-1]) + f" or {names[-1]}" + (f", or one of {more} more" if more > 0 else "")
    return (
        f"Inconclusive: {either}. Of {judged} {tried}, {record.choice} has the largest skill, "
        f"{ahead} of {record.methods[1]}, and wins in {resamples}: they are not told apart."
    )


def _left_out(record: Recommendation) -> str:
    """How many methods were not judged: those that cannot be believed or run here, and those for want of budget."""
    dear = len(record.unaffordable)
    said = f"{len(record.excluded) - dear} out"
    return f"{said}, {dear} not tried within {record.budget:g} {record.unit}" if dear else said


def _counted(record: Recommendation) -> str:
    """Which scores counted, and how many were struck out."""
    used = list(dict.fromkeys(spoken(n.partition(",")[0]) for n, why in zip(record.scores, record.struck) if not why))
    struck = sum(map(bool, record.struck))
    return ", ".join(used) + (f" ({struck} of {len(record.scores)} scores struck out)" if struck else "")


def _outcomes(record: Recommendation) -> list[str]:
    looks = {record.choice: "chosen"} | dict.fromkeys(record.rivals, "not told apart")
    return [looks.get(name, "behind") for name in record.methods]
