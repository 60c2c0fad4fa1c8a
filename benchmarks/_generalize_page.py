"""The parts of the page that tell how often intervals of what a model knows hold, and how often a gate is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from benchmarks._coverage import Cell
from benchmarks._coverage_compared import ALARM, Gated
from benchmarks._false_alarms_page import rate
from benchmarks._simulations_page import ASKED, outside

KNOWS = """# Do intervals of what a model knows and remembers hold?

As above, of data and answers drawn where the truth is known, by the functions that the analyses call. *n* is what one
interval rests on: rows, models, people on each side. **Bold** where the share that holds lies outside 93 to 97 by more than
the Monte Carlo error, which is stated (two standard errors of so many audits).

Read with it: where nothing may fall below 0 or go beyond 1 and the truth is there, an interval holds always. Of some
intervals the truth is that of the very sets or maps that were fitted, not of all that might have been.
The share of labels that confident learning takes for wrong has an interval of that estimate, which is biased: it does not
hold the true share. What stays wrong however sure the learner is does, unless the learner has learned the errors too, so
that it is never surer of an answer than labels are right; what is expected of the suspects follows it. Total variation and
the exposure of canaries that nearly all models tell cover in about 90 to 95 of 100. Of the conformal sets at 1,000 people
400 further draws held in 94.0 of 100. The standardised difference of long tails (log-normal, shifted by
half a standard deviation) covers too seldom: its spread is known too badly.
"""

COMPARED = """# Do intervals between models hold?

The best of several models chosen on the rows that judge it, beside the interval that forgets the choice; two models on the
same rows, by one training run or several; training less test. Bold and error as above.
"""

GATE = f"""# What a gate says of two models

`compare_models` calls the second of two models worse where a difference is beyond what exchanging their answers would show,
corrected for all metrics and groups, at {ALARM:g}. Pairs that are trained alike should be called so at most {100 * ALARM:g}
times in 100; exact intervals (Clopper and Pearson). Several runs each are judged by the spread over runs and rows.
"""


def cells(text: str, found: Iterable[Cell]) -> str:
    """One table of intervals."""
    found = list(found)
    lines = [
        text,
        "| interval | of | n | holds, in 100 | error | too low | too high | audits |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for c in found:
        held = f"{100 * c.covered:.1f}"
        held = f"**{held}**" if outside(c) else held
        error = 200 * np.sqrt(0.05 * 0.95 / max(c.runs, 1))
        lines.append(
            f"| {c.interval} | {c.case} | {c.people:,} | {held} | {error:.1f} | {c.below} | {c.above} | {c.runs:,} |"
        )
    promised = [c for c in found if "as if" not in c.interval]
    under = sum(outside(c) and c.covered < ASKED[0] for c in promised)
    over = sum(outside(c) and c.covered > ASKED[1] for c in promised)
    lines.append(
        f"\nOf {len(promised)} cells {len(promised) - under - over} lie within 93 to 97 or no further from it than the Monte Carlo "
        f"error, {over} above and {under} below."
    )
    return "\n".join(lines) + "\n\nAll cells of a kind together, in 100: " + "; ".join(_pooled(found)) + "."


def _pooled(found: list[Cell]) -> Iterator[str]:
    for name in dict.fromkeys(c.interval for c in found):
        of = [c for c in found if c.interval == name]
        runs, missed = sum(c.runs for c in of), sum(c.below + c.above for c in of)
        yield f"{name} {100 * (1 - missed / max(runs, 1)):.1f} of {runs:,}"


def gate(found: Iterable[Gated]) -> str:
    """How often like models are called worse, and how often worse ones are."""
    lines = [
        GATE,
        "| compared | people | accuracy lost | pairs | called worse | share | 95 % interval |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in found:
        share, ends = rate(one.worse, one.pairs)
        lines.append(f"| {one.what} | {one.n:,} | {one.lost:g} | {one.pairs:,} | {one.worse} | {share} | {ends} |")
    return "\n".join(lines)
