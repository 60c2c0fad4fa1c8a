"""How a robustness curve looks: the bound with its interval, one line an attack, and the level of guessing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.checks._gaps import LEAST, gaps
from labkit.core.intervals import clopper_pearson
from labkit.records.attack import in_words
from labkit.records.robustness_curve import RobustnessCurve
from labkit.views._style import COLOURS, DASHES, MARKERS, NEUTRAL, base, errors, rgba


def figure(record: RobustnessCurve) -> go.Figure:
    """Robust accuracy "at most" against eps: all attacks together with the exact 95 % interval, and what was left after
    each of them. Lines of attacks that took nothing more away are left out."""
    norm, eps = in_words(record.norm), record.eps
    result = base(
        f"Robust accuracy at most, {len(record)} rows",
        x=f"budget eps ({norm})",
        y="robust accuracy at most",
        height=420,
    )
    low, high = record.interval()
    result.add_scatter(
        x=np.concatenate([eps, eps[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        fill="toself",
        mode="lines",
        line={"width": 0},
        fillcolor=rgba(COLOURS[0], 0.2),
        name="all, 95 % interval",
        hoverinfo="skip",
    )
    before = np.full(len(eps), np.inf)
    for i, attack in enumerate(record.attacks[:-1], start=1):
        left = record.after(attack)
        if i == 1 or (left < before).any():
            look = {"color": COLOURS[i % len(COLOURS)], "dash": DASHES[i % len(DASHES)], "width": 1.5}
            marker = {"symbol": MARKERS[i % len(MARKERS)], "size": 6}
            name = f"after {attack}{' (control)' if attack in record.controls else ''}"
            result.add_scatter(x=eps, y=left, mode="lines+markers", line=look, marker=marker, name=name)
        before = left
    values = record.robust_accuracy()
    line, marker = {"color": COLOURS[0], "width": 3}, {"symbol": MARKERS[0], "size": 8}
    result.add_scatter(x=eps, y=values, mode="lines+markers", line=line, marker=marker, name="all attacks together")
    result.add_hline(y=record.chance, line={"dash": "dot", "color": NEUTRAL, "width": 1})
    result.add_annotation(
        x=eps[0], y=record.chance, text="guessing", showarrow=False, xanchor="left", yanchor="bottom", font_size=11
    )
    if (values == 0).any():
        first = float(eps[values == 0][0])
        result.add_annotation(x=first, y=0, ax=-40, ay=-40, text=f"0 from eps {first:g}", showarrow=True, font_size=11)
    result.update_yaxes(range=[-0.02, 1.02])
    return result


def rows(record: RobustnessCurve) -> pd.DataFrame:
    """One budget and attack a row, in the order in which they ran, and "all" of them together: the bound with its
    interval, success among the rows that were right without an attack, what was left after each attack, and for all
    together the rows that an interval of a tenth would need."""
    parts = []
    for attack in (None, *record.attacks):
        low, high = record.interval(attack)
        parts.append(
            pd.DataFrame(
                {
                    "attack": attack or "all",
                    "norm": record.norm,
                    "eps": record.eps,
                    "n": len(record),
                    "robust accuracy at most": record.robust_accuracy(attack),
                    "low": low,
                    "high": high,
                    "success among correct": record.success_rate(attack),
                    "left after it": record.robust_accuracy() if attack is None else record.after(attack),
                    "rows for a width of 0.1": record.rows_for(0.1) if attack is None else -1,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def examples(record: RobustnessCurve) -> pd.DataFrame:
    """One example a row: its class, the clean answer, the smallest budget known to break it, the attack, and how many
    answers and gradients all attacks took on it."""
    classes = np.array(record.classes)
    return pd.DataFrame(
        {
            "example": np.arange(len(record)),
            "class": classes[record.y],
            "answer": classes[record.label],
            "breaking eps": record.breaking_eps,
            "attack": record.broken_by,
            "queries": record.queries.sum(0).round(1),
            "gradients": record.gradients.sum(0).round(1),
            **record.groups,
        }
    )


def by_group(record: RobustnessCurve, feature: str) -> go.Figure:
    """Robust accuracy "at most" against eps in each group by a sensitive feature, with exact 95 % intervals and n. Groups
    too small to be compared are hollow. Raises Refused for an unknown feature."""
    names, stands, n = record.by_group(feature)
    result = base(
        f"Robust accuracy at most, by {feature}",
        x=f"budget eps ({in_words(record.norm)})",
        y="robust accuracy at most",
        height=420,
    )
    low, high = clopper_pearson(stands, n[:, None])
    # beside each other, so that one interval does not hide another
    step = 0.015 * float(np.ptp(record.eps)) / max(len(names) - 1, 1)
    for i, name in enumerate(names):
        colour, value = COLOURS[i % len(COLOURS)], stands[i] / n[i]
        result.add_scatter(
            x=record.eps + (i - (len(names) - 1) / 2) * step,
            y=value,
            error_y=errors(value, low[i], high[i]),
            mode="lines+markers",
            line={"color": colour, "dash": DASHES[i % len(DASHES)], "width": 1.5},
            marker={"symbol": MARKERS[i % len(MARKERS)] + ("" if n[i] >= LEAST else "-open"), "size": 7},
            name=f"{name} (n = {n[i]})",
        )
    result.update_yaxes(range=[-0.02, 1.02])
    return result


def groups(record: RobustnessCurve) -> pd.DataFrame:
    """One budget and group a row, for every sensitive feature: rows, those that stand, the bound with its exact interval,
    and whether the group is large enough to be compared."""
    parts = []
    for feature in record.groups:
        names, stands, n = record.by_group(feature)
        low, high = clopper_pearson(stands, n[:, None])
        budgets = len(record.eps)
        parts.append(
            pd.DataFrame(
                {
                    "feature": feature,
                    "group": np.repeat(names, budgets),
                    "eps": np.tile(record.eps, len(names)),
                    "n": np.repeat(n, budgets),
                    "stand": stands.ravel(),
                    "robust accuracy at most": (stands / n[:, None]).ravel(),
                    "low": low.ravel(),
                    "high": high.ravel(),
                    "compared": np.repeat(n >= LEAST, budgets),
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def differences(record: RobustnessCurve) -> pd.DataFrame:
    """One budget above 0 a row, for robust accuracy and drop by every feature: the largest difference between groups, its
    interval over all pairs and budgets, and what groups made at random exceed one time in 20. ``p`` is over all budgets."""
    parts = [
        pd.DataFrame(
            {
                "feature": feature,
                "of": one.what,
                "eps": one.eps,
                "groups": int(one.ranked.sum()),
                "difference": one.difference,
                "low": one.low,
                "high": one.high,
                "at random, 95 % point": one.null95,
                "p": one.p,
            }
        )
        for feature in record.groups
        for one in gaps(record, feature)
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def says(record: RobustnessCurve) -> str:
    """The bound at the largest budget, called one, with the accuracy without an attack beside it."""
    value, right = float(record.robust_accuracy()[-1]), int(record.correct.sum())
    low, high = (float(end[-1]) for end in record.interval())
    broken = right - round(value * len(record))
    return (
        f"Robust accuracy at most {value:.2f} ({low:.2f} to {high:.2f}, n = {len(record)}) at {in_words(record.norm)} eps "
        f"{record.eps[-1]:g} against {', '.join(record.attacks)}; without an attack {record.accuracy:.2f}. Of the {right} "
        f"rows that were right, {broken} ({100 * broken / right:.0f} %) were broken."
    )
