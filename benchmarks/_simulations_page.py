"""The page that tells how often intervals hold, how often audits accuse, and what they find."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from benchmarks._coverage import Cell
from benchmarks._false_alarms_page import rate
from benchmarks._null_audits import FEATURES, GROUPS, METRICS, PEOPLE, Found
from labkit.views._static import svg
from labkit.views._style import COLOURS

COMMAND = "Made by `python -m benchmarks simulations --write docs/simulations.md`, never by hand."
ASKED = (0.93, 0.97)

COVERAGE = f"""# Do intervals hold?

How often the intervals of an audit hold the true value, of people drawn from populations in which it is known; audits of
groups that are alike, and what is said to differ in them; and the true gaps that audits find. {COMMAND}

Every 95 % interval that an audit of groups uses, by the function that the audit calls. A cell is the share of audits whose
interval holds the true value, in per cent; **bold** where it lies outside 93 to 97 by more than the Monte Carlo error (two
standard errors of so many audits). Above 97 an interval is wider than it need be: few people, so that counts are
small and move in steps. Below 93 it says more than it knows. An audit compares groups of 30 people and more that have 10 of the
class in question: cells with fewer stand in (brackets), and are shown, not ranked, by an audit.

Read with it: the error of a calibration that is perfect lies at the very end of its scale, where resampled ends stay just
above 0; whether it is beyond chance is told by its null, not by its interval. A mean of losses that few people suffer is too
sure (Student's interval knows nothing of the tail that was not drawn). The bootstrap of a metric that rests on about 10
people of a class covers in about 90 of 100, not 95.
"""

LARGEST = """# The largest difference

The largest of several differences is too large, and which groups show it is itself chance. Its interval allows for that:
0 where all may be equal, and a lower end that is sure of some difference of that size. Groups are equal, or one of them is
0.1 above the others, or all lie apart evenly, over 0.2. *n* people in each group. Where all lie apart by little, nobody
can tell which of them are alike at the ends: the lower end then allows for the worst, and covers in more than 97 of 100.
The construction was chosen on normal estimates with equal, one, half and all apart; how groups are weighed was mended once
after some cells of this table (5 and 20 groups, base rates 0.02 and 0.5) had been seen.
"""

AUDITS = f"""# Audits of groups that are alike

Audits of {PEOPLE:,} people whose answers have nothing to do with their groups: {len(METRICS)} metrics x {FEATURES}
features x {GROUPS} groups, 200 subgroups in all, whose sizes differ by a factor of three. In how many audits is anything at all said to
differ? Intervals are exact (Clopper and Pearson). Only what is corrected for all comparisons promises at most 5 %.
*Tolerance 0* asks of each criterion that groups be exactly equal, the strictest that can be asked.
"""

POWER = """# What audits find

The share of audits in which a true gap is beyond chance (p below 0.05), in per cent: of two groups, of which one has it
in 30 of 100; and of ten groups of which one lies apart, in an audit of 20 comparisons (after Holm's correction for all).
*Promised* is the gap that `detectable` of an audit says a test of so many people finds four times in five, and beside it
how often it was found.
"""


def coverage(cells: Iterable[Cell]) -> str:
    """The part on intervals of one group, or two."""
    lines = [COVERAGE, *_head(cells := list(cells))]
    for name, row in groupby(cells, key=lambda c: c.interval):
        for base, part in groupby(row, key=lambda c: c.base):
            found = list(part)
            lines.append(f"| {name} | {base:g} | " + " | ".join(map(_cell, found)) + f" | {_side(found)} |")
    return "\n".join(lines) + "\n\n" + _summary(cells)


def largest(cells: Iterable[Cell]) -> str:
    """The part on the largest difference."""
    cells = list(cells)
    people = sorted({c.people for c in cells})
    lines = [LARGEST]
    for name in dict.fromkeys(c.interval for c in cells):
        mine = [c for c in cells if c.interval == name]
        lines += [
            f"\n## {name[0].upper()}{name[1:]}\n",
            "| groups | they lie | base rate | " + " | ".join(f"n = {n:,}" for n in people) + " | misses |",
        ]
        lines.append("|---|---|---|" + "---|" * (len(people) + 1))
        rows = dict.fromkeys((c.groups, c.case, c.base) for c in mine)
        for groups, case, base in sorted(rows, key=lambda r: (r[0], list(rows).index(r))):
            found = [c for c in mine if (c.groups, c.case, c.base) == (groups, case, base)]
            lines.append(f"| {groups} | {case} | {base:g} | " + " | ".join(map(_cell, found)) + f" | {_side(found)} |")
        lines += ["", _pooled(mine), "", _summary(mine)]
    return "\n".join(lines)


def _pooled(cells: list[Cell]) -> str:
    """Over all cells with enough people, by how the groups lie and how many there are."""
    told = []
    for case in dict.fromkeys(c.case for c in cells):
        each = []
        for groups in sorted({c.groups for c in cells}):
            some = [c for c in cells if c.case == case and c.groups == groups and not few(c)]
            held, runs = sum(c.runs - c.below - c.above for c in some), sum(c.runs for c in some)
            each.append(f"{groups} groups {100 * held / runs:.1f} (of {runs:,})")
        told.append(f"{case}: {', '.join(each)}")
    return f"All cells with enough people together, in per cent. {'; '.join(told)}."


def audits(found: dict[str, tuple[dict[str, int], int]], slices: tuple[int, int]) -> str:
    """The part on audits of groups that are alike."""
    lines = [
        AUDITS,
        "| people picked | what is said | audits | in how many | share | 95 % interval |",
        "|---|---|---|---|---|---|",
    ]
    names = sorted({name for counts, _ in found.values() for name in counts} | _ALWAYS, key=lambda n: (n[:9], n))
    for case, (counts, runs) in found.items():
        for name in names:
            share, ends = rate(counts.get(name, 0), runs)
            lines.append(f"| {case} | {name} | {runs} | {counts.get(name, 0)} | {share} | {ends} |")
    share, ends = rate(*slices)
    lines.append(
        f"| 20 of 100 answered wrong | a slice is confirmed (600 people, 5 columns) | {slices[1]} | {slices[0]} | {share} | {ends} |"
    )
    return "\n".join(lines)


_ALWAYS = {
    *(f"does not meet: {c}" for c in ("disparity", "equalized_odds", "four_fifths", "worst_group")),
    *(f"tolerance 0: {c}" for c in ("disparity", "equalized_odds", "four_fifths", "worst_group")),
}


def power(found: Iterable[Found], runs: int, picture: Path | None) -> str:
    """The part on power, with its picture."""
    found = list(found)
    gaps = sorted({f.gap for f in found if not f.promised})
    head = "| n in each group | " + " | ".join(f"gap {gap:g}" for gap in gaps)
    lines = [POWER, f"{runs} audits of two groups, {max(1, runs // 4)} of ten.\n", head + " | promised | found |"]
    lines.append("|---|" + "---|" * (len(gaps) + 2))
    for each in sorted({f.each for f in found}):
        row = [f for f in found if f.each == each]
        cells = [
            f"{100 * f.two:.0f} ({100 * f.ten:.0f})" for gap in gaps for f in row if f.gap == gap and not f.promised
        ]
        kept = next(f for f in row if f.promised)
        lines.append(f"| {each:,} | " + " | ".join(cells) + f" | {kept.gap:.3f} | {100 * kept.two:.0f} |")
    lines.append("\nOf two groups, and (in brackets) of one of ten.")
    if picture is not None:
        picture.write_text(svg(_curves(found), name="power", describe="Share of audits that find a true gap"))
        lines.append(
            f"\n![Share of audits that find a true gap, by its size and the people in each group](images/{picture.name})"
        )
    return "\n".join(lines)


def _curves(found: list[Found]) -> go.Figure:
    figure = go.Figure()
    for color, each in zip(COLOURS, sorted({f.each for f in found})):
        row = sorted((f for f in found if f.each == each and not f.promised), key=lambda f: f.gap)
        figure.add_scatter(
            x=[f.gap for f in row], y=[f.two for f in row], mode="lines+markers", name=f"{each:,} people in each group",
            line={"color": color},
        )  # fmt: skip
    kept = [f for f in found if f.promised]
    figure.add_scatter(
        x=[f.gap for f in kept], y=[f.two for f in kept], mode="markers", name="the gap that an audit calls detectable",
        marker={"color": "black", "symbol": "x", "size": 9},
    )  # fmt: skip
    figure.update_xaxes(title="true gap between two rates, of which one is 0.3")
    figure.update_yaxes(title="share of audits that find it", range=[0, 1.02])
    figure.update_layout(title="What audits of two groups find", height=420)
    return figure


def _head(cells: list[Cell]) -> list[str]:
    people = sorted({c.people for c in cells})
    return [
        "| interval | base rate | " + " | ".join(f"n = {n:,}" for n in people) + " | misses |",
        "|---|---|" + "---|" * (len(people) + 1),
    ]


def _error(c: Cell) -> float:
    return 2 * float(np.sqrt(0.05 * 0.95 / max(c.runs, 1)))


def outside(c: Cell) -> bool:
    """Whether a cell lies outside what was asked by more than the Monte Carlo error."""
    return not ASKED[0] - _error(c) <= c.covered <= ASKED[1] + _error(c)


def few(c: Cell) -> bool:
    """Whether an audit would show such groups and not rank them."""
    return min(c.base, 1 - c.base) * c.people < 10


def _cell(c: Cell) -> str:
    text = f"{100 * c.covered:.1f}"
    text = f"**{text}**" if outside(c) else text
    return f"({text})" if few(c) else text


def _side(found: list[Cell]) -> str:
    below, above = sum(c.below for c in found), sum(c.above for c in found)
    return f"{below} below, {above} above, of {sum(c.runs for c in found)}"


def _summary(cells: list[Cell]) -> str:
    enough = [c for c in cells if not few(c)]
    under = [c for c in enough if outside(c) and c.covered < ASKED[0]]
    over = [c for c in enough if outside(c) and c.covered > ASKED[1]]
    runs = sorted({c.runs for c in cells})
    within = len(enough) - len(under) - len(over)
    return (
        f"Of {len(enough)} cells with enough people {within} lie within 93 to 97 or no further from it than the Monte Carlo "
        f"error, {len(over)} above and {len(under)} below ({runs[0]:,} to {runs[-1]:,} audits a cell)."
    )
