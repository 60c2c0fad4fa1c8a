"""How scores of familiarity look: how often a known row scores above a shifted one, near shifts against far ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labkit.core.words import number, share, spoken
from labkit.records.out_of_distribution import OutOfDistribution
from labkit.views._forest import mark, span
from labkit.views._style import COLOURS, MARKERS, base, errors


def figure(record: OutOfDistribution) -> go.Figure:
    """A forest of areas under the ROC curve with 95 % intervals, one colour a score: the control above, then near shifts,
    then far ones. The dashed line is chance; to its left the shifted rows look more familiar than the known ones."""
    order = [*np.flatnonzero(~record.far), *np.flatnonzero(record.far)]
    names = [f"control: own rows (n = {record.held})"]
    names += [f"{'far' if record.far[j] else 'near'}: {spoken(record.shifts[j])} (n = {record.n[j]})" for j in order]
    count = len(names)
    height = 130 + count * max(26, 9 * len(record.scores))
    result = base(f"Told from {record.known} known rows", x="AUROC", height=height)
    result.update_layout(margin={"l": 220}, legend={"y": -60 / height})
    result.update_yaxes(tickvals=list(range(count)), ticktext=names, range=[count - 0.4, -0.6])
    for i, name in enumerate(record.scores):
        value = np.array([record.control[i], *record.auroc[i, order]])
        low = np.array([record.control_low[i], *record.low[i, order]])
        high = np.array([record.control_high[i], *record.high[i, order]])
        at = np.arange(count) + 0.7 * ((i + 0.5) / len(record.scores) - 0.5)
        known = ~np.isnan(value)
        result.add_scatter(
            x=value[known],
            y=at[known],
            mode="markers",
            error_x=errors(value[known], low[known], high[known]),
            marker={"color": COLOURS[i % len(COLOURS)], "symbol": MARKERS[i % len(MARKERS)], "size": 7},
            name=spoken(name),
        )
    mark(result, 0.5, count, "dash")
    result.update_xaxes(range=span(record.low, record.high, record.control_low, record.control_high, 0.5, 1))
    return result


def rows(record: OutOfDistribution) -> pd.DataFrame:
    """One score and shift a row, and the control as a shift of its own: AUROC with interval; the share of shifted rows taken
    for familiar where 95 % of the known are (FPR), with interval; what the model answers there."""
    parts = []
    for i, name in enumerate(record.scores):
        control = {"kind": "control", "shift": "own rows", "n": record.held, "AUROC": record.control[i]}
        parts.append({"score": name, **control, "low": record.control_low[i], "high": record.control_high[i]})
        for j, shift in enumerate(record.shifts):
            parts.append(
                {
                    "score": name,
                    "kind": "far" if record.far[j] else "near",
                    "shift": shift,
                    "n": int(record.n[j]),
                    "AUROC": record.auroc[i, j],
                    "low": record.low[i, j],
                    "high": record.high[i, j],
                    "FPR at 95 % TPR": record.accepted[i, j],
                    "FPR low": record.accepted_low[i, j],
                    "FPR high": record.accepted_high[i, j],
                    "accuracy": record.accuracy[j],
                    "mean confidence": record.confidence[j],
                }
            )
    return pd.DataFrame(parts)


def says(record: OutOfDistribution) -> str:
    """For the first score the hardest near and far shift with intervals, and the control."""
    parts = []
    for kind, chosen in (("near", ~record.far), ("far", record.far)):
        at = np.flatnonzero(chosen & ~np.isnan(record.auroc[0]))
        if len(at):
            j = int(at[record.auroc[0, at].argmin()])
            area = number(record.auroc[0, j], record.low[0, j], record.high[0, j])
            passed = share(record.accepted[0, j], record.accepted_low[0, j], record.accepted_high[0, j])
            parts.append(
                f"hardest {kind} shift {spoken(record.shifts[j])} (n = {record.n[j]}): AUROC {area}, {passed} pass where 95 "
                "of 100 known rows do"
            )
    control = number(record.control[0], record.control_low[0], record.control_high[0])
    return (
        f"By {spoken(record.scores[0])}, against {record.known} known rows, {'; '.join(parts)}. The same rows' other half: "
        f"{control}, where 0.5 is expected."
    )
