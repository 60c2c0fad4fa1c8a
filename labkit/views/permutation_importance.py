"""How permutation importance looks: a dot and an interval for each feature, from what matters most."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.words import number, spoken
from labkit.records.permutation_importance import PermutationImportance
from labkit.views._forest import mark, span
from labkit.views._style import COLOURS, MARKERS, base, errors

MOST = 25


def figure(record: PermutationImportance) -> go.Figure:
    """Each feature's loss with its 95 % interval and a line at none. Features that another one tells most of have a mark
    of their own, since the two share what they carry."""
    order = np.argsort(-record.loss, kind="stable")[:MOST]
    heading = f"what {spoken(record.metric)} loses when a feature is dealt out anew, {record.n} rows"
    result = base(heading, f"loss of {spoken(record.metric)}", height=140 + 26 * len(order))
    result.update_layout(margin={"l": 170})
    shared = set(record.shared)
    for look, name in enumerate(("alone", "shares with another feature")):
        at = np.array([k for k, i in enumerate(order) if (int(i) in shared) == bool(look)], int)
        if not len(at):
            continue
        chosen = order[at]
        value, low, high = (v[chosen] for v in (record.loss, record.loss_low, record.loss_high))
        result.add_scatter(
            x=value,
            y=at,
            mode="markers",
            name=name,
            error_x=errors(value, low, high),
            marker={"size": 9, "color": COLOURS[look], "symbol": MARKERS[look]},
            text=[f"{record.features[i]}: {number(*v, digits=4)}" for i, v in zip(chosen, zip(value, low, high))],
            hoverinfo="text",
        )
    names = [record.features[i] for i in order]
    result.update_yaxes(tickvals=list(range(len(order))), ticktext=names, range=[len(order) - 0.4, -0.6])
    mark(result, 0.0, len(order), "dot")
    return result.update_xaxes(range=span(record.loss_low, record.loss_high, 0.0))


def rows(record: PermutationImportance) -> pd.DataFrame:
    """One feature a row, from what matters most."""
    table = pd.DataFrame(
        {
            "feature": record.features,
            "columns": record.columns,
            f"loss of {record.metric}": record.loss,
            "low": record.loss_low,
            "high": record.loss_high,
            "most told by": record.partner,
            "association": record.association,
        }
    )
    return table.sort_values(table.columns[2], ascending=False, kind="stable").reset_index(drop=True)


def says(record: PermutationImportance) -> str:
    """The feature that matters most, how many cannot be told from none, and who shares."""
    first = int(record.loss.argmax())
    value = number(record.loss[first], record.loss_low[first], record.loss_high[first], digits=4)
    nothing = int((record.loss_low <= 0).sum())
    pairs = sorted({tuple(sorted((record.features[i], record.partner[i]))) for i in record.shared})
    share = (
        "" if not pairs else f" {'; '.join(' and '.join(pair) for pair in pairs)} tell of each other and share theirs."
    )
    return (
        f"{spoken(record.metric).capitalize()} is {number(record.value, record.low, record.high, digits=3)} on {record.n} "
        f"rows and loses most, {value}, when {record.features[first]} is dealt out anew; {nothing} of "
        f"{len(record.features)} features cannot be told from none.{share}"
    )
