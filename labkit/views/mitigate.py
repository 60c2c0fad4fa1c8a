"""How remedies look: accuracy against disparity with both intervals, and whose answers change."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import less, number, spoken
from labkit.records.mitigate import Mitigation
from labkit.views._style import COLOURS, MARKERS, NEUTRAL, base, errors

READS = {
    "the group": "reads the group at decision time",
    "a column": "reads no group, but its inputs hold a column that gives it away",
    "nothing": "does not read the group at decision time",
    "unknown": "whether it reads the group is not known",
}


def figure(record: Mitigation) -> go.Figure:
    """Accuracy against disparity on held-out people, one line a method by rising strength.

    Stars are rules without any method, a ring is the least discriminatory alternative. Large marks, with 95 % intervals both
    ways, are on the front, as told on the people to choose by. The dotted line is the accuracy that the tolerance leaves,
    the dashed one the difference that equal groups exceed one time in 20.
    """
    what = spoken(record.criterion)
    title = f"{what[:1].upper()}{what[1:]} by {record.feature}: disparity and accuracy, {record.n:,} held-out people"
    result = base(title, "largest difference between groups (95 % interval)", "accuracy (95 % interval)", height=560)
    known = np.flatnonzero(~np.isnan(record.disparity))
    for i, name in enumerate(dict.fromkeys(record.method[known])):
        at = known[record.method[known] == name]
        _line(result, record, str(name), at, i)
    if record.found:
        result.add_scatter(
            x=record.disparity[[record.least]],
            y=record.accuracy[[record.least]],
            mode="markers",
            marker={"symbol": "circle-open", "size": 24, "color": COLOURS[1], "line": {"width": 2.5}},
            name="least discriminatory alternative found",
            hoverinfo="skip",
        )
    _marks(result, record)
    result.update_layout(legend={"orientation": "v", "x": 1.02, "y": 1, "xanchor": "left"})
    return result


def _line(result: go.Figure, record: Mitigation, name: str, at: np.ndarray, look: int) -> None:
    plain = record.stage[at[0]] == "none"
    x, y = record.disparity[at], record.accuracy[at]
    tint = COLOURS[look % len(COLOURS)]
    shown = record.front[at] | (at == record.least) | plain
    wide, tall = (
        [np.where(shown, getattr(record, name + end)[at], value) for end in ("_low", "_high")]
        for name, value in (("disparity", x), ("accuracy", y))
    )
    result.add_scatter(
        x=x,
        y=y,
        mode="markers" if plain or len(at) == 1 else "lines+markers",
        error_x={**errors(x, *wide), "thickness": 1, "width": 0},
        error_y={**errors(y, *tall), "thickness": 1, "width": 0},
        marker={
            "color": tint,
            "symbol": "star" if plain else MARKERS[(look // len(COLOURS)) % (len(MARKERS) - 1)],
            "size": [16 if plain else 10 if record.front[i] else 6 for i in at],
        },
        line={"color": tint, "width": 1, "dash": "solid" if look < len(COLOURS) else "dash"},
        name=spoken(name),
        text=[_hover(record, i) for i in at],
        hoverinfo="text",
    )


def _hover(record: Mitigation, i: int) -> str:
    accuracy = number(record.accuracy[i], record.accuracy_low[i], record.accuracy_high[i], digits=3)
    disparity = number(record.disparity[i], record.disparity_low[i], record.disparity_high[i], digits=3)
    return f"{record.named(i)}: accuracy {accuracy}, difference {disparity}, n = {record.n}"


def _marks(result: go.Figure, record: Mitigation) -> None:
    floor, null = record.accuracy[record.reference] - record.tolerance, float(record.null95[record.reference])
    line = {"width": 1.2, "color": NEUTRAL}
    result.add_shape(type="line", xref="paper", x0=0, x1=1, y0=floor, y1=floor, line={**line, "dash": "dot"})
    if not np.isnan(null):
        result.add_shape(type="line", yref="paper", y0=0, y1=1, x0=null, x1=null, line={**line, "dash": "dash"})


def changes(record: Mitigation, point: int | None = None) -> go.Figure:
    """Whose answers change against the rule in use: by group and direction, and for how many of them the new one is right.

    Args:
        point: which point; by default the least discriminatory alternative.
    """
    at = record.least if point is None else point
    name = f"{record.named(at)} in place of the {spoken(str(record.method[record.reference]))}"
    result = make_subplots(
        1, 2, shared_yaxes=True, horizontal_spacing=0.05,
        subplot_titles=[f"now {record.positive}", f"no longer {record.positive}"],
    )  # fmt: skip
    result.update_layout(base(f"Whose answer changes: {name}", height=230 + 42 * len(record.group)).layout)
    result.update_layout(barmode="stack", margin={"l": 180, "t": 84, "b": 104}, legend={"y": 0, "yref": "container"})
    ticks = [f"{g} (n = {n:,})" for g, n in zip(record.group, record.n_group)]
    parts = ((record.selected, record.selected_right), (record.deselected, record.deselected_right))
    for col, (changed, right) in enumerate(parts, 1):
        for count, label, tint in (
            (right[at], "rightly", COLOURS[0]),
            (changed[at] - right[at], "wrongly", COLOURS[4]),
        ):
            result.add_bar(
                x=100 * count / record.n_group,
                y=ticks,
                orientation="h",
                marker={"color": tint},
                name=label,
                showlegend=col == 1,
                hovertext=[f"{g}: {c:.0f} {label}, of {n:,}" for g, c, n in zip(record.group, count, record.n_group)],
                hoverinfo="text",
                row=1,
                col=col,
            )
    most = max(float(np.nanmax(100 * changed[at] / record.n_group)) for changed, _ in parts)
    result.update_xaxes(title_text="people of each 100 of the group", range=[0, 1.08 * most or 1.0])
    result.update_yaxes(autorange="reversed")
    return result


def rows(record: Mitigation) -> pd.DataFrame:
    """One row a point and group: the point's accuracy and disparity with their intervals, the group's rates with n, and
    how many of its people change."""
    parts = []
    for i in range(len(record.method)):
        whole = {
            "method": str(record.method[i]), "stage": str(record.stage[i]), "strength": record.strength[i],
            "reads": str(record.reads[i]), "share drawn anew": record.lots[i], "n": record.n,
        }  # fmt: skip
        for name in ("accuracy", "balanced_accuracy", "auc", "cost", "disparity", "gain"):
            for end in ("", "_low", "_high"):
                whole[spoken(name + end)] = getattr(record, name + end)[i]
        whole |= {"equal groups 95 %": record.null95[i], "p": record.p[i], "affordable": bool(record.affordable[i])}
        whole |= {"front": bool(record.front[i]), "least discriminatory": i == record.least}
        for g, group in enumerate(record.group):
            own: dict[str, object] = {"group": str(group), "people": record.n_group[g], "compared": record.ranked[g]}
            for r, name in enumerate(record.rates):
                own |= {spoken(name): record.rate[i, r, g], f"{spoken(name)} low": record.rate_low[i, r, g]}
                own |= {
                    f"{spoken(name)} high": record.rate_high[i, r, g],
                    f"{spoken(name)} of": record.rate_of[i, r, g],
                }
            own |= {
                "now positive": record.selected[i, g], "of them rightly": record.selected_right[i, g],
                "no longer positive": record.deselected[i, g], "of these rightly": record.deselected_right[i, g],
            }  # fmt: skip
            parts.append({**whole, **own})
    return pd.DataFrame(parts)


def says(record: Mitigation) -> str:
    """What the rule in use shows, the least discriminatory alternative with its price and who pays, and how sure that is."""
    if record.status == "not_measured":
        return f"Not measured because {record.reason}."
    at, what = record.least, spoken(record.criterion)
    begin = (
        f"The {spoken(str(record.method[0]))} differs by {_ends(record, 'disparity', 0)} in {what} between groups by {record.feature} "
        f"({record.n:,} held-out people; equal groups reach {number(record.null95[0])} one time in 20), with an accuracy of "
        f"{_ends(record, 'accuracy', 0)}."
    )
    tried = f"{len(record.method) - 1} other rules tried"
    if record.why_none:
        return f"{begin} No remedy could be tried: {record.why_none}."
    if not record.found:
        return f"{begin} Of {tried} none that kept within {record.tolerance:g} of that differed less on the people to choose by."
    sure = "" if record.gain_low[at] > 0 else ", which may be chance"
    less = (
        f" Of {tried}, {int(record.affordable.sum()) - 1} kept within {record.tolerance:g} of that accuracy, and of these "
        f"{record.named(at)} differed least on the people to choose by; on others it differs by {_ends(record, 'disparity', at)}, {_gained(record, at)}{sure}."
    )
    return f"{begin}{less} {_price(record, at)} {_who(record, at)} {_legal(record, at)}"


def _ends(record: Mitigation, name: str, i: int) -> str:
    value, low, high = (getattr(record, name + end)[i] for end in ("", "_low", "_high"))
    return number(value, low, high, digits=3)


def _gained(record: Mitigation, at: int) -> str:
    return less(float(record.gain[at]), float(record.gain_low[at]), float(record.gain_high[at]))


def _price(record: Mitigation, at: int) -> str:
    cost, low, high = (float(a[at]) for a in (record.cost, record.cost_low, record.cost_high))
    if cost < 0:
        return f"Its accuracy is {number(-cost, -high, -low, digits=3)} higher."
    return f"Its price is {number(cost, low, high, digits=3)} of accuracy."


def _who(record: Mitigation, at: int) -> str:
    told = []
    for g, group in enumerate(record.group):
        up, down = record.selected[at, g], record.deselected[at, g]
        right = record.selected_right[at, g] + record.deselected_right[at, g]
        told.append(
            f"{group}: {up:.0f} to {record.positive} and {down:.0f} from it, {right:.0f} rightly, of {record.n_group[g]:,}"
        )
    return f"Answers change: {'; '.join(told)}."


def _legal(record: Mitigation, at: int) -> str:
    alike = int(record.alike.sum())
    said = f"It {READS[str(record.reads[at])]}"
    if record.lots[at] > 0:
        said += f" and draws lots: {100 * record.lots[at]:.1f} % of its answers would change if they were drawn again"
    others = (
        f"; {alike} other{'s' if alike != 1 else ''} within the tolerance cannot be told from it by their intervals"
    )
    return said + (others if alike else "") + "."
