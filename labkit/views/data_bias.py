"""How the data look by group: shares beside a reference, and each rate with its interval, train and test apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import p_value, share
from labkit.records.data_bias import DataBias
from labkit.views._forest import band, span
from labkit.views._style import COLOURS, MARKERS, NEUTRAL, base, errors, rgba


def figure(record: DataBias) -> go.Figure:
    """A panel for the shares and one for each rate; one row a group, one mark a part. A diamond is the reference share;
    the band is as wide as groups made at random differ in 95 % of permutations, around everybody's rate. Groups too small
    to be compared are hollow."""
    titles = ["share of people", *record.rates]
    down, count = -(-len(titles) // 2), len(record.group)
    height = 150 + down * (70 + 30 * count)
    result = make_subplots(
        down, 2, shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.05, vertical_spacing=70 / height
    )
    people = ", ".join(f"{n} in {part}" for part, n in zip(record.parts, record.total))
    heading = f"The data by {', '.join(record.features)}: share or rate, 95 % interval; {people}"
    result.update_layout(base(heading, height=height).layout)
    result.update_layout(margin={"l": 190, "t": 84, "b": 70}, legend={"y": -60 / height, "yanchor": "top"})
    grid = {"gridcolor": rgba(NEUTRAL, 0.25), "zerolinecolor": rgba(NEUTRAL, 0.25)}
    result.update_xaxes(**grid)
    result.update_yaxes(**grid)
    # n of the part with more people
    names = [f"{g} (n = {n})" for g, n in zip(record.group, record.n.max(0))]
    result.update_yaxes(tickvals=list(range(count)), ticktext=names, range=[count - 0.4, -0.6])
    for k in range(len(titles)):
        place = (k // 2 + 1, k % 2 + 1)
        values = (record.share, record.share_low, record.share_high)
        if k:
            values = (record.value[:, k - 1], record.low[:, k - 1], record.high[:, k - 1])
            _bands(result, record, k - 1, place)
        for i, part in enumerate(record.parts):
            _marks(result, record, i, tuple(v[i] for v in values), part if k == 0 else "", place)
        if not k and not np.isnan(record.reference).all():
            _reference(result, record, place)
        result.update_xaxes(
            range=[max(-0.01, (ends := span(*values))[0]), min(1.01, ends[1])], row=place[0], col=place[1]
        )
    return result


def _marks(
    result: go.Figure, record: DataBias, i: int, values: tuple[np.ndarray, ...], name: str, place: tuple[int, int]
) -> None:
    value, low, high = values
    known = np.flatnonzero(~np.isnan(value))
    shift = 0.24 * (i - (len(record.parts) - 1) / 2)
    result.add_scatter(
        x=value[known],
        y=known + shift,
        mode="markers",
        name=name,
        showlegend=bool(name),
        error_x=errors(value[known], low[known], high[known]),
        marker={
            "size": 8,
            "color": COLOURS[i],
            "symbol": [MARKERS[i] + ("" if record.ranked[i, g] else "-open") for g in known],
        },
        text=[f"{record.group[g]}: {share(value[g], low[g], high[g])}, n = {record.n[i, g]}" for g in known],
        hoverinfo="text",
        row=place[0],
        col=place[1],
    )


def _reference(result: go.Figure, record: DataBias, place: tuple[int, int]) -> None:
    known = np.flatnonzero(~np.isnan(record.reference))
    marker = {"size": 9, "color": COLOURS[2], "symbol": "diamond"}
    result.add_scatter(
        x=record.reference[known], y=known, mode="markers", name="reference", marker=marker, row=place[0], col=place[1]
    )


def _bands(result: go.Figure, record: DataBias, rate: int, place: tuple[int, int]) -> None:
    for f in range(len(record.features)):
        at, half = record.groups_of(f), record.null95[-1, rate, f] / 2
        n, hits = record.n[-1, at].sum(), np.nansum(record.hits[-1, rate, at])
        if not np.isnan(half):
            ends = max(0.0, hits / n - half), min(1.0, hits / n + half)
            band(result, ends, (at.min(), at.max()), row=place[0], col=place[1])


def rows(record: DataBias) -> pd.DataFrame:
    """One part and group a row: people, share, reference, and every rate with its interval."""
    tables = []
    for i, part in enumerate(record.parts):
        table = {
            "part": part,
            "feature": np.array(record.features)[record.feature_of],
            "group": record.group,
            "n": record.n[i],
            "share": record.share[i],
            "share low": record.share_low[i],
            "share high": record.share_high[i],
            "reference share": record.reference,
            "enough for 5 points": record.n[i] >= record.people_needed,
            "compared": record.ranked[i],
        }
        for r, rate in enumerate(record.rates):
            table |= {rate: record.value[i, r], f"{rate} low": record.low[i, r], f"{rate} high": record.high[i, r]}
        if record.within:
            table[f"{record.rates[0]} within {record.within}"] = record.adjusted[i]
        tables.append(pd.DataFrame(table))
    return pd.concat(tables, ignore_index=True)


def says(record: DataBias) -> str:
    """How labels differ most, in whom and by how much; who is too few to be measured; and whether test is like train."""
    last = len(record.parts) - 1
    few = [f"{g} ({n})" for g, n in zip(record.group, record.n[last]) if n < record.people_needed]
    p = record.p_holm
    if not p.size:
        begin = f"{record.total.sum():,} people, without labels or anything else whose rate could be compared"
    elif np.isnan(p).all():
        begin = f"No two groups of {record.least} people could be compared in {record.total.sum()} people"
    else:
        of_labels = (np.arange(len(record.rates)) < record.labels) | (record.labels == 0)
        p = np.where(of_labels[:, None], p, np.nan)
        sure = p <= max(0.05, float(np.nanmin(p)))
        i, r, f = np.unravel_index(np.where(sure, record.difference, -1.0).argmax(), p.shape)
        top, bottom = (
            f"{share(record.value[i, r, g], record.low[i, r, g], record.high[i, r, g])} of {record.group[g]} "
            f"(n = {record.n[i, g]})"
            for g in (record.highest[i, r, f], record.lowest[i, r, f])
        )
        begin = (
            f"{record.rates[r][:1].upper()}{record.rates[r][1:]} in {record.parts[i]}: {top} and {bottom}, "
            f"{'more' if p[i, r, f] < 0.05 else 'no more'} than chance alone gives ({p_value(p[i, r, f])}, Holm over "
            f"{(count := int((~np.isnan(record.p_holm)).sum()))} comparison{'s' if count > 1 else ''})"
        )
    told = f"{begin}. "
    if few:
        told += f"Too few people in {record.parts[last]} to tell a rate to 5 points (it takes {record.people_needed}): "
        told += f"{', '.join(few[:6])}{f' and {len(few) - 6} more' if len(few) > 6 else ''}. "
    if not np.isnan(record.shift_p).all():
        least = int(np.nanargmin(record.shift_p))
        like = "more" if record.shift_p[least] * len(record.features) < 0.05 else "no more"
        told += (
            f"Group shares in test differ from those in training {like} than chance gives ({record.features[least]}: "
            f"{p_value(record.shift_p[least])}). "
        )
    return told.strip()
