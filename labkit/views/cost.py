"""How the cost of results looks: seconds of each, with passes and operations beside them."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from labkit.core.words import quantity
from labkit.records.cost import Cost
from labkit.views._style import COLOURS, base


def figure(record: Cost) -> go.Figure:
    """A bar of seconds for each result; beside it the examples that went through a model, and the operations."""
    count = len(record.results)
    result = base("What each result took", x="seconds", height=150 + 34 * count)
    result.add_bar(
        x=record.seconds, y=list(range(count)), orientation="h", marker_color=COLOURS[0], showlegend=False, width=0.6
    )
    for i in range(count):
        result.add_annotation(
            x=record.seconds[i],
            y=i,
            text=f"{record.seconds[i]:,.1f} s, {_passes(record, i)}, {quantity(record.flops[i], 'FLOP')}",
            showarrow=False,
            xanchor="left",
            xshift=6,
            font_size=11,
        )
    most = max((s for s in record.seconds if s == s), default=1.0)
    result.update_xaxes(range=[0, 1.9 * max(most, 1e-3)])
    result.update_yaxes(
        tickvals=list(range(count)),
        ticktext=list(record.results),
        range=[count - 0.4, -0.6],
        showgrid=False,
        zeroline=False,
    )
    result.update_layout(margin={"l": 230})
    return result


def _passes(record: Cost, i: int) -> str:
    forwards, backwards = (0 if v != v else int(v) for v in (record.forwards[i], record.backwards[i]))
    return f"{forwards:,} passes forward, {backwards:,} back"


def rows(record: Cost) -> pd.DataFrame:
    """One result a row, in passes, FLOP, seconds, bytes and joules."""
    return pd.DataFrame(
        {
            "result": record.results,
            "forward passes": record.forwards,
            "backward passes": record.backwards,
            "FLOP": record.flops,
            "passes whose FLOP are not known": record.uncounted,
            "seconds": record.seconds,
            "peak memory (bytes)": record.peak_memory,
            "energy (J)": record.joules,
            "how the energy was estimated": record.energy,
        }
    )


def says(record: Cost) -> str:
    """The sum over all results, in one sentence."""
    if record.status != "measured":
        return f"Not measured because {record.reason}."
    total = {name: pd.Series(getattr(record, name)).sum() for name in ("forwards", "backwards", "flops", "seconds")}
    joules = pd.Series(record.joules).sum()
    known = (record.flops == record.flops).any()
    operations = f"at least {quantity(total['flops'], 'FLOP')}" if known else "operations not counted"
    return (
        f"{len(record.results)} result{'s' if len(record.results) > 1 else ''} took {total['seconds']:,.1f} s: "
        f"{total['forwards']:,.0f} examples forward and {total['backwards']:,.0f} back through models, {operations}, "
        f"about {quantity(joules, 'J')} by estimate; no meter was read."
    )
