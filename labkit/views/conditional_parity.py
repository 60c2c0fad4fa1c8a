"""How conditional parity looks: the crude and the adjusted gap of each group, and the strata beneath."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import number, p_value, share, spoken
from labkit.records.conditional_parity import ConditionalParity
from labkit.views._forest import mark, span
from labkit.views._style import COLOURS, MARKERS, NEUTRAL, base, errors, rgba

STRATA = 16  # so many are drawn, those with most people; the table has all
NAMED = 3  # strata without overlap that a sentence names
KINDS = ("crude", "adjusted")


def figure(record: ConditionalParity) -> go.Figure:
    """Above, each group's crude and adjusted difference to the reference with 95 % intervals; the band is what equal
    groups show within strata in 95 % of permutations. Beneath, the strata of the group that is least like chance."""
    others = np.delete(np.arange(len(record.group)), record.reference)
    g = record.surest if record.surest >= 0 else int(others[0])
    shown = _strata(record, g)
    heights = [2 * len(others) + 1.5, len(shown) + 1.5]
    top = record.group[record.reference]
    titles = [f"difference to {top}", f"{record.group[g]} minus {top}, by {' & '.join(record.given)}"]
    result = make_subplots(2, 1, row_heights=heights, shared_xaxes=True, subplot_titles=titles, vertical_spacing=0.09)
    heading = f"{_title(spoken(record.metric))} by {record.feature}, crude and given {', '.join(record.given)}"
    result.update_layout(base(heading, height=int(200 + 26 * sum(heights))).layout, margin={"l": 260})
    result.update_annotations(font_size=13)
    result.update_layout(legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.0, "yanchor": "bottom"})
    for place, kind in enumerate(KINDS):
        ends = tuple(getattr(record, f"{kind}{end}")[others] for end in ("", "_low", "_high"))
        _points(result, ends, np.arange(len(others)) + 0.36 * place - 0.18, kind, place, 1)
    for i, other in enumerate(others):
        if record.null95[other] > 0:
            box = {"x0": -record.null95[other], "x1": record.null95[other], "y0": i, "y1": i + 0.36}
            box |= {"fillcolor": rgba(NEUTRAL, 0.18), "line": {"width": 0}, "layer": "below"}
            result.add_shape(type="rect", **box, row=1, col=1)
    names = [f"{record.group[o]} (n = {record.n[o]})" for o in others]
    result.update_yaxes(tickvals=list(range(len(others))), ticktext=names, range=[len(others) - 0.4, -0.6], row=1)
    difference = record.stratum_difference[g, shown]
    ends = difference, record.stratum_low[g, shown], record.stratum_high[g, shown]
    _points(result, ends, np.arange(len(shown)), "in a stratum", 2, 2)
    result.update_yaxes(
        tickvals=list(range(len(shown))),
        ticktext=[_stratum(record, g, k) for k in shown],
        range=[len(shown) - 0.4, -0.6],
        row=2,
    )
    for row, count in ((1, len(others)), (2, len(shown))):
        mark(result, 0.0, count, "dash", row=row, col=1)
    drawn = [getattr(record, f"{kind}{end}")[others] for kind in KINDS for end in ("_low", "_high")]
    result.update_xaxes(range=span(*drawn, ends[1], ends[2], 0.0))
    result.update_xaxes(title_text=f"difference in {spoken(record.metric)}, 95 % interval", row=2)
    result.update_yaxes(showgrid=False, zeroline=False)
    return result


def _points(result: go.Figure, ends: tuple[np.ndarray, ...], at: np.ndarray, name: str, look: int, row: int) -> None:
    value, low, high = ends
    known = ~np.isnan(value)
    result.add_scatter(
        x=value[known],
        y=at[known],
        mode="markers",
        name=name,
        showlegend=row == 1,
        error_x=errors(value[known], low[known], high[known]),
        marker={"size": 9, "color": COLOURS[look], "symbol": MARKERS[look]},
        text=[number(v, a, b) for v, a, b in zip(value[known], low[known], high[known])],
        hoverinfo="text",
        row=row,
        col=1,
    )


def _strata(record: ConditionalParity, g: int) -> np.ndarray:
    """The strata of a comparison that have both groups, those with most people first."""
    of = record.cell_of[[g, record.reference]]
    both = np.flatnonzero((of > 0).all(0))
    return both[np.argsort(-of[:, both].sum(0), kind="stable")[:STRATA]]


def _stratum(record: ConditionalParity, g: int, k: int) -> str:
    """A stratum's name and the people of the group and of the reference in it."""
    mine, theirs = (int(record.cell_of[i, k]) for i in (g, record.reference))
    return f"{record.stratum[k]} ({mine} and {theirs})"


def _title(text: str) -> str:
    return text[:1].upper() + text[1:]


def rows(record: ConditionalParity) -> pd.DataFrame:
    """One group a row over all strata ("all"), and one a group and stratum: counts and differences to the reference."""
    groups, strata = len(record.group), len(record.stratum)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = record.cell_hits / record.cell_of
    nothing = np.full(groups * strata, np.nan)

    def both(over_all: np.ndarray, within: np.ndarray) -> np.ndarray:
        return np.concatenate([over_all, within.ravel()])

    return pd.DataFrame(
        {
            "group": both(record.group, np.repeat(record.group, strata)),
            "stratum": both(np.full(groups, "all"), np.tile(record.stratum, groups)),
            "hits": both(record.hits, record.cell_hits),
            "of": both(record.of, record.cell_of),
            spoken(record.metric): both(record.rate, rate),
            "difference": both(record.crude, record.stratum_difference),
            "difference low": both(record.crude_low, record.stratum_low),
            "difference high": both(record.crude_high, record.stratum_high),
            "ratio": both(record.crude_ratio, nothing),
            "adjusted difference": both(record.adjusted, nothing),
            "adjusted low": both(record.adjusted_low, nothing),
            "adjusted high": both(record.adjusted_high, nothing),
            "adjusted ratio": both(record.adjusted_ratio, nothing),
            "adjusted ratio low": both(record.adjusted_ratio_low, nothing),
            "adjusted ratio high": both(record.adjusted_ratio_high, nothing),
            "equal groups exceed": both(record.null95, nothing),
            "p": both(record.p, nothing),
            "p over all groups": both(record.p_family, nothing),
            "p of equal strata": both(record.p_homogeneity, nothing),
            "people without overlap": both(record.left_out, nothing),
            "compared": both(record.ranked, np.zeros(groups * strata, bool)),
        }
    )


def says(record: ConditionalParity) -> str:
    """Of the group that is least like chance: crude gap, adjusted gap, how sure, who was left out, and the warning that
    the factors may carry the bias."""
    g, top = record.surest, record.reference
    mine, theirs = (
        f"{share(record.rate[i], record.rate_low[i], record.rate_high[i])} in {record.group[i]} (n = {record.n[i]})"
        for i in (g, top)
    )
    crude, adjusted = (number(*(getattr(record, f"{kind}{end}")[g] for end in ("", "_low", "_high"))) for kind in KINDS)
    given = " and ".join(record.given)
    sure = "more" if record.p_family[g] < 0.05 else "no more"
    said = (
        f"{_title(spoken(record.metric))}: {mine} against {theirs}, a difference of {crude}. Among people alike in {given} "
        f"it is {adjusted}, {sure} than chance alone gives ({p_value(record.p_family[g])})."
    )
    if record.p_homogeneity[g] < 0.05:
        said += f" It is not the same in all strata ({p_value(record.p_homogeneity[g])})."
    if record.left_out[g]:
        names = record.apart(g)
        some = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
        said += f" {record.left_out[g]:.0f} people are in strata where only one of the two groups is ({some}), and are left out."
    if record.association > record.association95:
        said += (
            f" {_title(given)} and {record.feature} go together (Cramer's V {record.association:.2f}): if the bias already "
            "shaped the factor, the adjusted difference hides it."
        )
    return said
