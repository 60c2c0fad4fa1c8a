"""How natural shifts look: accuracy by corruption and severity, by family, what each group loses, and other class shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.draws import Draws
from labkit.core.intervals import wilson
from labkit.core.refused import Refused
from labkit.core.words import number, share, spoken
from labkit.corruptions._applying import Ground, corrupt, corruption, fitting
from labkit.data.split import Split
from labkit.records.natural_shifts import NaturalShifts
from labkit.views._forest import mark, span
from labkit.views._gallery import gallery as pictures
from labkit.views._style import COLOURS, DASHES, MARKERS, NEUTRAL, base, errors

WITHIN = 0.1  # share of all cases that the worst class shares shown may move
ACROSS = 6


def figure(record: NaturalShifts) -> go.Figure:
    """Left the accuracy under each corruption at each severity, 0 being the rows as they are (* is not told from guessing);
    right the means by family; below, where there are groups, what each of them loses, with 95 % intervals."""
    names, groups = record.corruptions, len(record.group)
    top, below = 110 + 22 * max(len(names), 8), 70 + 26 * groups if groups else 0
    layout: dict[str, object] = {"horizontal_spacing": 0.1, "column_widths": [0.56, 0.44]}
    titles = ["accuracy", "mean by family"]
    if groups:
        layout |= {"rows": 2, "specs": [[{}, {}], [{"colspan": 2}, None]], "row_heights": [top, below]}
        layout |= {"vertical_spacing": 90 / (top + below)}
        titles.append("what each group loses (mean drop)")
    result = make_subplots(cols=2, subplot_titles=titles, **layout)
    heading = f"Accuracy under natural shifts, {len(record)} rows"
    result.update_layout(base(heading, height=top + below + 80).layout)
    result.update_layout(margin={"l": 150}, legend={"y": -60 / (top + below)})
    _cells(result, record)
    _families(result, record)
    if groups:
        _groups(result, record)
    return result


def _order(record: NaturalShifts) -> list[int]:
    """The corruptions family by family, those that cost most first."""
    families, values = record.by_family()
    worst = [families[f] for f in np.argsort(values.mean(1), kind="stable")]
    mean = record.shifted.mean(1)
    return sorted(range(len(mean)), key=lambda i: (worst.index(record.families[i]), mean[i]))


def _cells(result: go.Figure, record: NaturalShifts) -> None:
    order = _order(record)
    z = np.column_stack([np.full(len(order), record.accuracy), record.shifted[order]])
    guess = np.column_stack([np.zeros(len(order), bool), record.at_chance[order]])
    text = [[f"{v:.2f}{'*' if g else ''}" for v, g in zip(*row)] for row in zip(z, guess)]
    across, down = list(range(z.shape[1])), list(range(len(order)))
    result.add_heatmap(
        z=z, x=across, y=down, zmin=0, zmax=1, colorscale="cividis", showscale=False, text=text,
        texttemplate="%{text}", hovertemplate="%{text}<extra></extra>", row=1, col=1,
    )  # fmt: skip
    severities = ["0", *map(str, record.severities)]
    result.update_xaxes(tickvals=across, ticktext=severities, showgrid=False, title_text="severity", row=1, col=1)
    labels = [spoken(record.corruptions[i]) for i in order]
    result.update_yaxes(tickvals=down, ticktext=labels, range=[len(order) - 0.5, -0.5], showgrid=False, row=1, col=1)


def _families(result: go.Figure, record: NaturalShifts) -> None:
    names, values = record.by_family()
    x = [0, *record.severities.tolist()]
    for i, name in enumerate(names):
        result.add_scatter(
            x=x,
            y=[record.accuracy, *values[i]],
            mode="lines+markers",
            line={"color": COLOURS[i % len(COLOURS)], "dash": DASHES[i % len(DASHES)]},
            marker={"symbol": MARKERS[i % len(MARKERS)], "size": 7},
            name=name,
            row=1,
            col=2,
        )
    clean = {"dash": "dot", "color": NEUTRAL, "width": 1.2}
    result.add_shape(type="line", x0=0, x1=x[-1], y0=record.accuracy, y1=record.accuracy, line=clean, row=1, col=2)
    result.update_xaxes(title_text="severity", tickvals=x, row=1, col=2)
    result.update_yaxes(range=[-0.02, 1.02], row=1, col=2)


def _groups(result: go.Figure, record: NaturalShifts) -> None:
    n, value, low, high = record.group_drops()
    known = np.flatnonzero(n)
    result.add_scatter(
        x=value[known],
        y=known,
        mode="markers",
        error_x=errors(value[known], low[known], high[known]),
        marker={
            "color": COLOURS[0],
            "size": 9,
            "symbol": ["circle" if r else "circle-open" for r in record.ranked[known]],
        },
        text=[f"{record.group[g]}: {number(value[g], low[g], high[g])}, n = {n[g]}" for g in known],
        hoverinfo="text",
        showlegend=False,
        row=2,
        col=1,
    )
    mark(result, record.mean_drop()[0], len(n), "dash", row=2, col=1)
    labels = [f"{g} (n = {k})" for g, k in zip(record.group, n)]
    result.update_yaxes(tickvals=list(range(len(n))), ticktext=labels, range=[len(n) - 0.4, -0.6], row=2, col=1)
    result.update_xaxes(range=span(low, high, 0.0), row=2, col=1)


def rows(record: NaturalShifts) -> pd.DataFrame:
    """One corruption and severity a row: accuracy, drop, intervals, rows changed, answers that stayed, guessing."""
    low, high = record.interval()
    drop, drop_low, drop_high = record.drop()
    count = len(record.severities)
    return pd.DataFrame(
        {
            "corruption": np.repeat(record.corruptions, count),
            "family": np.repeat(record.families, count),
            "severity": np.tile(record.severities, len(record.corruptions)),
            "n": len(record),
            "right": (record.label == record.y).sum(-1).ravel(),
            "accuracy": record.shifted.ravel(),
            "low": low.ravel(),
            "high": high.ravel(),
            "drop": drop.ravel(),
            "drop low": drop_low.ravel(),
            "drop high": drop_high.ravel(),
            "rows changed": record.changed.ravel(),
            "answers that stayed": record.same.ravel(),
            "not told from guessing": record.at_chance.ravel(),
        }
    )


def groups(record: NaturalShifts) -> pd.DataFrame:
    """One group a row: its accuracy on the rows as they are, and its mean drop with interval."""
    n, value, low, high = record.group_drops()
    members = [record.member[f] == g for g, f in enumerate(record.feature_of)]
    return pd.DataFrame(
        {
            "feature": np.array(record.features, str)[record.feature_of],
            "group": record.group,
            "n": n,
            "accuracy": [record.correct[m].mean() if m.any() else np.nan for m in members],
            "mean drop": value,
            "low": low,
            "high": high,
            "compared": record.ranked,
        }
    )


def priors(record: NaturalShifts) -> pd.DataFrame:
    """Accuracy under other class shares, one a row, on the rows as they are and on the corrupted ones; no new answers are
    asked for. The worst shares are picked on these very rows, so their intervals allow for all classes at once."""
    size, seen = len(record.classes), record.observed_prior
    asked = {"as in these rows": (seen, seen), "all classes alike": (np.full(size, 1 / size),) * 2}
    if not np.allclose(record.prior, seen):
        asked["as named"] = (record.prior, record.prior)
    for name, within in ((f"worst, {WITHIN:.0%} of cases moved", WITHIN), ("worst class alone", 1.0)):
        asked[name] = tuple(record.worst_prior(within, corrupted=c) for c in (False, True))  # type: ignore[assignment]
    found = []
    for name, (clean, corrupted) in asked.items():
        level = 1 - 0.05 / size if name.startswith("worst") else 0.95
        row: dict[str, object] = {"class shares": name}
        for what, prior, under in (("accuracy", clean, False), ("corrupted", corrupted, True)):
            value, low, high = record.under_prior(prior, corrupted=under, level=level)
            row |= {what: value, f"{what} low": low, f"{what} high": high, f"{what}: most of": _most(record, prior)}
        found.append(row)
    return pd.DataFrame(found)


def _most(record: NaturalShifts, prior: np.ndarray) -> str:
    return record.classes[int(prior.argmax())] if prior.max() > prior.min() else ""


def says(record: NaturalShifts) -> str:
    """Accuracy without and with corruptions, the mean drop with its interval, beside the clean error, and the extremes."""
    drop, low, high = record.mean_drop()
    clean = share(record.accuracy, *(float(v) for v in wilson(record.correct.sum(), len(record))))
    mean = record.shifted.mean(1)
    worst, best = int(mean.argmin()), int(mean.argmax())
    extent = f"{len(mean)} corruption{'s' * (len(mean) > 1)} at {len(record.severities)} severities"
    said = (
        f"Of {len(record)} rows {clean} are right as they are, {share(float(mean.mean()))} on average over {extent}: "
    )
    said += f"a drop of {number(drop, low, high)}"
    if not np.isnan(record.relative):
        said += f", {_times(record)} times the clean error"
    said += f"; {spoken(record.corruptions[worst])} leaves {mean[worst]:.2f}"
    said += f", {spoken(record.corruptions[best])} {mean[best]:.2f}." if best != worst else "."
    first = np.nanargmin(record.p) if np.isfinite(record.p).any() else -1
    if first >= 0:
        more = "more" if record.p_holm[first] < 0.05 else "no more"
        said += f" By {record.features[first]}, {record.group[record.highest[first]]} loses most, by {more} than chance gives."
    return said


def _times(record: NaturalShifts) -> str:
    if np.isfinite(record.relative_high):
        return number(record.relative, record.relative_low, record.relative_high)
    return f"{number(record.relative)} (at least {number(record.relative_low)})"


def gallery(
    data: Split, severity: int = 3, corruptions: Sequence[str] | None = None, *, row: int = 0, seed: int = 0
) -> go.Figure:
    """One image of a split as it is, and under each corruption at one severity.

    Raises:
        Refused: data without pictures; a corruption or severity that there is not.
    """
    if data.schema.modality != "image" or data.schema.bounds is None:
        raise Refused("a gallery of corruptions", f"{data.schema.modality} data", "images with bounds")
    x, ground = data.x[row : row + 1], Ground(data.schema, data.schema.bounds, data.x)
    tiles = [("as it is", x[0])]
    by_family = sorted(fitting("image"), key=lambda name: corruption(name).family)
    for name in corruptions if corruptions is not None else by_family:
        try:
            tiles.append((spoken(name), corrupt(corruption(name), x, severity, Draws(seed, 1), ground)[0]))
        except Refused:
            if corruptions is not None:
                raise
    lines = [tiles[i : i + ACROSS] for i in range(0, len(tiles), ACROSS)]
    return pictures(f"One image under {len(tiles) - 1} corruptions, severity {severity}", lines, ACROSS)
