"""How impact ratios look: the tables as the rule has them, what stands beside each ratio, and a forest of all sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.words import number, p_value, share
from labkit.records.impact_ratios import ImpactRatios
from labkit.views._forest import band, mark, span
from labkit.views._style import COLOURS, NEUTRAL, base, errors

WHAT = {"selection": "selected", "scoring": "with a score above the median"}
FIFTHS = 0.8


def figure(record: ImpactRatios) -> go.Figure:
    """A forest of impact ratios, set under set: ratio, 95 % interval, counts. The band of each set runs from the least
    ratio that equal categories show in all but 5 % of permutations up to 1; the dotted line is four fifths. Small
    categories are hollow; a grey diamond is one that was left out, with the ratio that it would have if none were."""
    titles, at, rows_of = _places(record)
    count = len(titles)
    about = "selection" if record.outcome == "selection" else "scoring"
    heading = f"Impact ratios ({about} rate over the highest in its set), 95 % interval"
    axis = "impact ratio (band: the least of equal categories, 95 of 100 times; dotted: four fifths)"
    result = base(heading, x=axis, height=150 + 26 * count)
    result.update_layout(showlegend=False, margin={"l": 260})
    result.update_yaxes(tickvals=list(range(count)), ticktext=titles, range=[count - 0.4, -0.6])
    result.update_yaxes(showgrid=False, zeroline=False)
    shown = np.isfinite(record.ratio)
    high = np.where(np.isfinite(record.ratio_high), record.ratio_high, record.ratio)
    low = np.where(np.isfinite(record.ratio_low), record.ratio_low, record.ratio)
    others = record.ratio_of_all[record.excluded]
    result.update_xaxes(range=span(low[shown], np.minimum(high, 3.0)[shown], others, record.null05, FIFTHS, 1.0))
    for rows_here, null05 in zip(rows_of, record.null05):
        if np.isfinite(null05):
            band(result, (float(null05), 1), (rows_here.min(), rows_here.max()))
    mark(result, FIFTHS, count, "dot")
    mark(result, 1.0, count, "dash")
    result.add_scatter(
        x=record.ratio[shown],
        y=at[shown],
        mode="markers",
        error_x=errors(record.ratio[shown], low[shown], high[shown]),
        marker={
            "color": COLOURS[0],
            "size": 9,
            "symbol": ["circle-open" if small else "circle" for small in record.small[shown]],
        },
        text=[_hover(record, c) for c in np.flatnonzero(shown)],
        hoverinfo="text",
    )
    _without_ratio(result, record, at)
    return result


def _without_ratio(result: go.Figure, record: ImpactRatios, at: np.ndarray) -> None:
    """Categories that were left out, by the ratio that they would have, and those of which nothing is known."""
    missing = np.flatnonzero(np.isnan(record.ratio))
    would = record.ratio_of_all[missing]
    result.add_scatter(
        x=np.where(np.isnan(would), FIFTHS, would),
        y=at[missing],
        mode="markers+text",
        marker={
            "color": NEUTRAL,
            "size": [0 if nothing else 9 for nothing in np.isnan(would)],
            "symbol": "diamond-open",
        },
        text=[str(why) for why in record.why[missing]],
        textposition=["middle right" if not v > 0.6 else "middle left" for v in would],
        textfont={"color": NEUTRAL, "size": 11},
        hoverinfo="text",
    )


def _places(record: ImpactRatios) -> tuple[list[str], np.ndarray, list[np.ndarray]]:
    """The label of each line of the forest, the line of each category, and the lines of each set."""
    titles: list[str] = []
    at, lines = np.zeros(len(record.category), int), []
    for s, name in enumerate(record.sets):
        titles.append(f"<b>{name}</b>")
        own = record.of(s)
        at[own] = len(titles) + np.arange(len(own))
        lines.append(at[own])
        titles += [f"{record.category[c]} ({record.hits[c]} of {record.n[c]})" for c in own]
    return titles, at, lines


def _hover(record: ImpactRatios, c: Any) -> str:
    ends = number(record.ratio[c], record.ratio_low[c], record.ratio_high[c])
    exact = "the reference" if np.isnan(record.p[c]) else p_value(record.p[c])
    return f"{record.category[c]}: {ends}, {record.hits[c]} of {record.n[c]}, {exact}"


def tables(record: ImpactRatios) -> dict[str, pd.DataFrame]:
    """The tables to publish, one a comparison set, with the columns of the rule's examples: applicants, selected (of
    selection rates), rate, impact ratio. The ratio of a category that was left out is empty; ``notes`` says why."""
    found = {}
    for s, name in enumerate(record.sets):
        own = record.of(s)
        columns: dict[str, object] = {
            f"{name[:1].upper()}{name[1:]} Categories": record.category[own],
            "# of Applicants": record.n[own],
        }
        if record.outcome == "selection":
            columns["# Selected"] = record.hits[own]
        rate = "Selection Rate" if record.outcome == "selection" else "Scoring Rate"
        columns[rate] = ["" if np.isnan(v) else f"{100 * v:.1f}%" for v in record.rate[own]]
        columns["Impact Ratio"] = ["" if np.isnan(v) else f"{v:.2f}" for v in record.ratio[own]]
        found[name] = pd.DataFrame(columns)
    return found


def notes(record: ImpactRatios) -> list[str]:
    """What the rule wants said beside the tables: people of unknown category, categories left out and why, the median
    and how many score exactly it."""
    said = []
    for name, unknown in zip(record.sets, record.unknown):
        said.append(
            f"{name}: {unknown} of {record.n_total} individuals have an unknown category and are not included in the "
            "calculations above."
        )
    for c in np.flatnonzero(record.excluded):
        name = record.sets[record.set_of[c]]
        said.append(
            f"{name}: {record.category[c]} ({record.n[c]} individuals, {record.outcome} rate {100 * record.rate[c]:.1f}%) "
            f"is left out of the impact ratios: {record.justification}. With no category left out its ratio would be "
            f"{record.ratio_of_all[c]:.2f}."
        )
    if record.outcome == "scoring":
        said.append(
            f"The median of all {record.n_total} scores is {record.median:g}; {record.tied} individuals score exactly the "
            "median and count as not above it."
        )
    return said


def rows(record: ImpactRatios) -> pd.DataFrame:
    """One category a row: the rule's numbers, the interval and test of its ratio, and what single selections would do.
    ``tables`` has the columns to publish."""
    return pd.DataFrame(
        {
            "set": np.array(record.sets)[record.set_of],
            "category": record.category,
            "n": record.n,
            "selected" if record.outcome == "selection" else "above the median": record.hits,
            f"{record.outcome} rate": record.rate,
            "rate low": record.rate_low,
            "rate high": record.rate_high,
            "impact ratio": record.ratio,
            "ratio low": record.ratio_low,
            "ratio high": record.ratio_high,
            "below four fifths": record.ratio < FIFTHS,
            "ratio if none left out": record.ratio_of_all,
            "rate minus highest": record.difference,
            "difference low": record.difference_low,
            "difference high": record.difference_high,
            "exact p": record.p,
            "p after Holm": record.p_holm,
            "standard deviations": record.deviations,
            "beyond two deviations": np.abs(record.deviations) > 2,
            "lacking to parity": record.lacking,
            "lacking to four fifths": record.lacking_fifths,
            "ratio with one more": record.one_more,
            "one selection turns it": record.turns,
            "left out": record.excluded,
            "small": record.small,
            "no ratio because": record.why,
        }
    )


def says(record: ImpactRatios) -> str:
    """For each set: the lowest rate beside the highest, their ratio, how sure it is and what equal categories show."""
    said = [_set(record, s) for s in range(len(record.sets)) if record.least_category[s] >= 0]
    strangers = [f"{u} by {name}" for name, u in zip(record.sets, record.unknown) if u]
    left = f" Of {record.n_total} people no category is known for {', '.join(strangers)}." if strangers else ""
    wanted = repr(record.positive) if record.outcome == "selection" else "a high score"
    return f"{' '.join(said)}{left} What people want is taken to be {wanted}."


def _set(record: ImpactRatios, s: int) -> str:
    low, top = int(record.least_category[s]), int(record.reference[s])
    lowest, highest = (
        f"{share(record.rate[c], record.rate_low[c], record.rate_high[c])} in {record.category[c]} (n = {record.n[c]})"
        for c in (low, top)
    )
    name = record.sets[s]
    chance = (
        f"equal categories of these sizes show a ratio below {record.null05[s]:.2f} one time in 20 "
        f"({p_value(record.p_least[s])})"
    )
    exact = p_value(record.p[low]) + (" of these two alone" if len(record.of(s)) > 2 else "")
    if low == top or record.ratio[low] == 1:
        return f"{name[:1].upper()}{name[1:]}: all categories have the same rate, {highest}; {chance}."
    ratio = number(record.ratio[low], record.ratio_low[low], record.ratio_high[low])
    return (
        f"{name[:1].upper()}{name[1:]}: {lowest} {WHAT[record.outcome]} against {highest}, impact ratio {ratio}, exact "
        f"{exact}; {chance}."
    )
