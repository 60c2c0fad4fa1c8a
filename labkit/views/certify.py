"""How certificates look: the share of rows that is certified as the budget grows, from below."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.intervals import clopper_pearson
from labkit.core.words import number
from labkit.records.attack import in_words
from labkit.records.certify import Certificate
from labkit.views._style import COLOURS, base, rgba


def figure(record: Certificate) -> go.Figure:
    """Certified accuracy "at least" against eps, a step down wherever a row's radius ends, with its 95 % interval."""
    result = base(
        f"Certified accuracy at least, {len(record)} rows",
        x=f"budget eps ({in_words(record.norm)})",
        y="certified accuracy at least",
        height=380,
    )
    steps(result, record, COLOURS[0], record.method, band=True)
    result.update_yaxes(range=[-0.02, 1.02])
    return result


def steps(result: go.Figure, record: Certificate, colour: str, name: str, *, band: bool = False) -> None:
    """One certificate's line: between two budgets that were tried, what holds at the larger."""
    eps = record.budgets
    finite = eps[np.isfinite(eps)]
    # A radius without end is drawn a quarter further than the largest of the others.
    x = np.minimum(np.concatenate([[0.0], np.repeat(eps, 2)[:-1]]), 1.25 * finite.max() or 1.0)
    value = np.repeat(record.certified_accuracy(eps), 2)
    if band:
        low, high = (np.repeat(end, 2) for end in record.interval(eps))
        result.add_scatter(
            x=np.concatenate([x, x[::-1]]),
            y=np.concatenate([high, low[::-1]]),
            fill="toself",
            mode="lines",
            line={"width": 0},
            fillcolor=rgba(colour, 0.2),
            name="95 % interval",
            hoverinfo="skip",
        )
    result.add_scatter(x=x, y=value, mode="lines", line={"color": colour, "width": 2.5}, name=name)


def rows(record: Certificate) -> pd.DataFrame:
    """One budget a row: certified accuracy with its interval."""
    eps = record.budgets
    low, high = record.interval(eps)
    return pd.DataFrame(
        {
            "certificate": record.method,
            "of": record.of,
            "norm": record.norm,
            "eps": eps,
            "n": len(record),
            "certified accuracy at least": record.certified_accuracy(eps),
            "low": low,
            "high": high,
        }
    )


def says(record: Certificate) -> str:
    """Certified accuracy at the largest budget asked for, or the median radius; whose it is, and with what confidence."""
    of = "" if record.of == "the model" else f" of {record.of}"
    sure = "" if record.confidence == 1 else f" Each radius holds with a confidence of {record.confidence:g}."
    norm, right = in_words(record.norm), int(record.correct.sum())
    if len(record.eps):
        at = record.eps[-1:]
        low, high = (float(end[0]) for end in record.interval(at))
        value = number(float(record.certified_accuracy(at)[0]), low, high)
        return (
            f"Certified accuracy{of} at least {value} at {norm} eps {at[0]:g}, n = {len(record)} ({record.spec}).{sure}"
        )
    some = record.radius[record.radius > 0]
    low, high = (float(end) for end in clopper_pearson(len(some), len(record)))
    value = number(len(some) / len(record), low, high)
    largest = f" up to {norm} eps {_end(some.max())}, half of them to {_end(np.median(some))}" if len(some) else ""
    return (
        f"Certified{of}: a share of {value} of {len(record)} rows{largest} ({record.spec}); {right} are right without a "
        f"change.{sure}"
    )


def _end(radius: float) -> str:
    return "infinity" if np.isinf(radius) else f"{radius:.3g}"
