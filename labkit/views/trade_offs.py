"""How trade-offs look: a matrix of what is made equal and of the gaps that remain, and the accuracy of each row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import number, p_value, share, spoken
from labkit.records.trade_offs import TradeOffs
from labkit.views._forest import mark, span
from labkit.views._style import COLOURS, base, errors

PALE_TO_DARK = [[0, "#f7f7f7"], [1, COLOURS[1]]]


def figure(record: TradeOffs) -> go.Figure:
    """The gaps that remain between groups, with 95 % intervals, one row for each thing made equal; "≠" marks those
    beyond what groups made at random show. Beside them the accuracy that each row leaves, the dashed line at one
    threshold for all. A row of two rates follows from the base rates alone; "not possible" is one that no rates allow."""
    count = len(record.equal)
    result = make_subplots(1, 2, shared_yaxes=True, column_widths=[0.76, 0.24], horizontal_spacing=0.02)
    least, most = _base(record)
    heading = f"Gaps that remain by {record.feature} when a rate is made equal<br>base rates from {least} to {most}"
    result.update_layout(base(heading, height=190 + 42 * count).layout, margin={"l": 250, "t": 70, "b": 70})
    result.update_layout(showlegend=False)
    result.add_heatmap(
        z=record.gap,
        x=[spoken(m).replace(" rate", "<br>rate") for m in record.metrics],
        y=list(range(count)),
        zmin=0,
        zmax=float(np.nanmax(record.gap, initial=0.05)),
        colorscale=PALE_TO_DARK,
        showscale=False,
        text=[[_cell(record, r, m) for m in range(len(record.metrics))] for r in range(count)],
        texttemplate="%{text}",
        textfont={"size": 11},
        hoverinfo="text",
        xgap=2,
        ygap=2,
        row=1,
        col=1,
    )
    known = ~np.isnan(record.accuracy)
    at = np.arange(count)
    result.add_scatter(
        x=record.accuracy[known],
        y=at[known],
        mode="markers",
        error_x=errors(record.accuracy[known], record.accuracy_low[known], record.accuracy_high[known]),
        marker={
            "size": 9,
            "color": COLOURS[0],
            "symbol": ["circle-open" if a else "circle" for a in record.by_algebra[known]],
        },
        text=[number(v, a, b) for v, a, b in zip(record.accuracy, record.accuracy_low, record.accuracy_high)],
        hoverinfo="text",
        row=1,
        col=2,
    )
    if "one threshold" in record.equal:
        mark(result, float(record.accuracy[record.equal.index("one threshold")]), count, "dash", row=1, col=2)
    labels = [_label(name) for name in record.equal]
    result.update_yaxes(tickvals=list(at), ticktext=labels, range=[count - 0.45, -0.55], showgrid=False, zeroline=False)
    result.update_xaxes(showgrid=False, row=1, col=1)
    result.update_xaxes(title_text=f"gap, n = {record.n.sum()} (≠: beyond groups made at random)", row=1, col=1)
    reach = span(record.accuracy_low, record.accuracy_high)
    result.update_xaxes(title_text="accuracy", range=reach, nticks=4, row=1, col=2)
    return result


def _base(record: TradeOffs) -> tuple[str, str]:
    """The lowest and the highest base rate, with the group."""
    found = [
        f"{share(record.base_rate[g], record.base_low[g], record.base_high[g])} in {record.group[g]} (n = {record.n[g]})"
        for g in (record.base_rate.argmin(), record.base_rate.argmax())
    ]
    return found[0], found[1]


def _label(name: str) -> str:
    if name in ("as given", "one threshold"):
        return name
    return "equal " + spoken(name).replace(" + ", "<br>and ")


def _cell(record: TradeOffs, r: int, m: int) -> str:
    if record.made_equal[r, m] and not np.isnan(record.accuracy[r]):
        return "equal"
    value = record.gap[r, m]
    if np.isnan(value):
        return "not possible"
    beyond = " ≠" if value > record.null95[r, m] else ""
    return f"{value:.2f}{beyond}<br>{record.gap_low[r, m]:.2f} to {record.gap_high[r, m]:.2f}"


def rows(record: TradeOffs) -> pd.DataFrame:
    """What is made equal and a rate a row: the gap that remains, its interval and null, accuracy, each group's value."""
    count = len(record.metrics)

    def each(values: object) -> np.ndarray:
        return np.repeat(np.asarray(values), count)

    kind = np.where(
        record.by_algebra, "base rates alone", np.where(record.by_thresholds, "thresholds", "answers as given")
    )
    table = pd.DataFrame(
        {
            "made equal": each(record.equal),
            "by": each(kind),
            "rate": np.tile(record.metrics, len(record.equal)),
            "gap": record.gap.ravel(),
            "gap low": record.gap_low.ravel(),
            "gap high": record.gap_high.ravel(),
            "groups at random exceed": record.null95.ravel(),
            "accuracy": each(record.accuracy),
            "accuracy low": each(record.accuracy_low),
            "accuracy high": each(record.accuracy_high),
            "cost": each(record.cost),
            "cost low": each(record.cost_low),
            "cost high": each(record.cost_high),
        }
    )
    for g, name in enumerate(record.group):
        table[f"{name} (n = {record.n[g]})"] = record.value[:, :, g].ravel()
        table[f"threshold of {name}"] = each(record.threshold[:, g])
    return table


def says(record: TradeOffs) -> str:
    """Base rates and whether they differ beyond chance; then what remains when precision is made equal, and what equal
    selection rates cost."""
    low, high = _base(record)
    begin = f"The base rate of {record.positive} is {high} and {low}"
    if not record.base_p < 0.05:
        return (
            f"{begin}, no further apart than chance gives ({p_value(record.base_p)}): nothing in these data forces a "
            "trade-off between equal rates. That they are equal is not shown either."
        )
    said = (
        f"{begin}, more than chance gives ({p_value(record.base_p)}): no answers but perfect ones have equal precision and "
        f"equal true and false positive rates."
    )
    for name, metric, how in (
        ("precision", "false_positive_rate", "Thresholds that make precision equal, chosen on these people, leave"),
        ("precision + true_positive_rate", "false_positive_rate", "Equal precision and true positive rate imply"),
    ):
        if name in record.equal:
            said += f" {how} {_gap(record, name, metric)}."
            break
    if "selection_rate" in record.equal and not np.isnan(record.accuracy[record.equal.index("selection_rate")]):
        r = record.equal.index("selection_rate")
        cost = number(-record.cost[r], -record.cost_high[r], -record.cost_low[r], digits=3)
        said += (
            f" Equal selection rates cost {cost} of accuracy and leave {_gap(record, 'selection_rate', 'precision')}."
        )
    return said


def _gap(record: TradeOffs, name: str, metric: str) -> str:
    r, m = record.equal.index(name), record.metrics.index(metric)
    if np.isnan(record.gap[r, m]):
        return f"nothing to compare in {spoken(metric)}, since no rates from 0 to 1 do it"
    ends = number(record.gap[r, m], record.gap_low[r, m], record.gap_high[r, m])
    chance = " (no more than chance gives)" if record.gap[r, m] <= record.null95[r, m] else ""
    return f"a gap of {ends} in {spoken(metric)}{chance}"
