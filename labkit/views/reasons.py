"""How decision reasons look: how often each column is one, and what the lists are worth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.intervals import mean, wilson
from labkit.core.words import counted, number
from labkit.records.reasons import Reasons
from labkit.views._style import COLOURS, base

ORDINAL = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")


def figure(record: Reasons) -> go.Figure:
    """For each column the number of people to whom it is given as a reason, in which place."""
    ranks = record.given.shape[1]
    counts = np.array([[(record.given[:, k] == c).sum() for k in range(ranks)] for c in range(len(record.features))])
    order = [c for c in np.argsort(counts.sum(1), kind="stable") if counts[c].sum()]
    title = f"reasons for {record.adverse}, {len(record)} people"
    result = base(title, "people to whom it is given as a reason", height=150 + 26 * len(order))
    for k in range(ranks):
        result.add_bar(
            x=counts[order, k],
            y=[record.features[c] for c in order],
            orientation="h",
            name=f"{ORDINAL[k] if k < len(ORDINAL) else k + 1} reason",
            marker_color=COLOURS[k % len(COLOURS)],
        )
    return result.update_layout(barmode="stack", margin={"l": 170})


def rows(record: Reasons) -> pd.DataFrame:
    """One reason of one person a row."""
    person, rank = np.nonzero(record.given >= 0)
    column = record.given[person, rank]
    return pd.DataFrame(
        {
            "row": record.row[person],
            "rank": rank + 1,
            "feature": np.array(record.features, object)[column],
            "reason": [record.words[i][k] for i, k in zip(person, rank)],
            "contribution": record.contribution[person, column],
            "standard error": record.standard_error[person, column],
            "list turns the answer": record.sufficiency[person],
            "a prohibited basis is among the largest": record.hidden[person],
        }
    )


def says(record: Reasons) -> str:
    """The commonest reason, how often the lists turn the answer, how stable they are, and what they leave out."""
    n = len(record)
    counts = np.bincount(record.given[record.given >= 0], minlength=len(record.features))
    none = int((record.given < 0).all(1).sum())
    first = (
        f"{record.features[int(counts.argmax())]} most often ({counts.max()} of {n})" if counts.any() else "no column"
    )
    enough = record.sufficiency >= 0.5
    low, high = wilson(int(enough.sum()), n)
    hidden = int(record.hidden.sum())
    parts = [
        f"Against {record.population} ({record.n_reference}), the answer {record.adverse} of {n} people is explained by "
        f"{first}",
        f"the population's values in place of the reasons turn it, more often than not, for "
        f"{counted(int(enough.sum()), n, float(low), float(high), 'people')}, those of as many other columns for "
        f"{counted(int((record.random >= 0.5).sum()), int((~np.isnan(record.random)).sum()))}",
        f"two halves of the draws name the same to {_mean(record.stability)}, another population "
        + (f"to {_mean(record.elsewhere)}" if np.isfinite(record.elsewhere).all() else "has no one to compare with"),
    ]
    if none:
        parts.append(f"for {none} no column is surely a reason")
    if hidden:
        held = ", ".join(record.prohibited)
        parts.append(
            f"for {hidden} a prohibited basis ({held}) is among the largest, and the reasons do not tell the whole"
        )
    if record.proxy:
        told = ", ".join(f"{c} of {g} ({a:.2f})" for c, g, a in zip(record.proxy, record.basis, record.association))
        parts.append(f"reasons that tell of a prohibited basis: {told}")
    return "; ".join(parts) + "."


def _mean(values: np.ndarray) -> str:
    return number(float(values.mean()), *mean(values))
