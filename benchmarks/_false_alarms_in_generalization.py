"""The part of the page of false alarms that tells of generalisation, memory, calibration and data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from benchmarks._alarms_in_generalization import TWINS, Told
from benchmarks._false_alarms_page import VERDICTS, rate

INTRODUCTION = """# False alarms about generalisation

How often each check of what a model knows and remembers accuses a sound case. Made by `python -m benchmarks false_alarms
--of generalization --write docs/false_alarms.md`, never by hand.

A case is one analysis, with its default settings but for its size, of data and models in which nothing is wrong by construction;
sizes, numbers of classes and columns, strength and seed differ from case to case. An alarm is a case in which the check says
*does not meet* at least once, whatever number of things it looked at. Intervals are exact (Clopper and Pearson), at 95 %. Seeds
are of the half `{half}`; rules of two checks (duplicate_rows, same_distribution) were changed after trials on other seeds. Checks that inform and pass no verdict ({informing}) accuse nobody.
"""
INFORMING = "beats_boosted_trees, double_descent, fits_anything, flatness, more_data_would_help, recalibration_helps, who_is_answered"
HEAD = """| sound case | check | cases judged | alarms | rate | 95 % interval | meets | inconclusive | not measured or does not apply |
|---|---|---|---|---|---|---|---|---|"""


def page_of_generalization(told: Sequence[Told], half: str) -> str:
    """The part, as Markdown."""
    parts = [INTRODUCTION.format(half=half, informing=INFORMING)]
    parts.append("## Sound cases\n\n" + "\n".join([HEAD, *_lines(told)]))
    parts.append("## What is sound about them\n\n" + "\n".join(f"* {twin.name}: {twin.why}" for twin in TWINS))
    alarms = [f"* {each.twin}: {text}" for each in told for text in each.says]
    if alarms:
        parts.append("## What the alarms about generalisation said\n\n" + "\n".join(alarms))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _lines(told: Sequence[Told]) -> list[str]:
    lines = []
    for twin in TWINS:
        for check in twin.checks:
            said = Counter(each.status for each in told if (each.check, each.twin) == (check, twin.name))
            judged = sum(said[verdict] for verdict in VERDICTS)
            share, ends = rate(said["does_not_meet"], judged)
            lines.append(
                f"| {twin.name} | {check} | {judged} | {said['does_not_meet']} | {share} | {ends} | "
                f"{said['meets'] + said['info']} | {said['inconclusive']} | {sum(said.values()) - judged} |"
            )
    return lines
