"""The page that tells of false alarms."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from labkit.core.intervals import clopper_pearson

VERDICTS = ("does_not_meet", "inconclusive", "meets", "info")

INTRODUCTION = """# False alarms

How often each check of an explanation accuses a sound one, and how often a planted fault is caught. Made by
`python -m benchmarks false_alarms --write docs/false_alarms.md`, never by hand. Robustness stands below.

A case is one sound model, one sound method and {examples} of its test examples with a hundred background rows; methods
take turns, and checks that only some methods answer to are also asked of each other model ({methods}).
An alarm is a case in which the check says *does not meet* at least once; one that is *inconclusive* accuses nobody. Intervals are exact (Clopper and Pearson), at 95 %, over models, each of which
has its own seed and its own examples; models of one family share their data.

Rules were set, and in one case changed after a first run, on other seeds than those of this page: the half `{half}` is
measured with rules that stood before (the half `{unseen}` is for trials). A measure's accusation must be sure at 1 % over
all that its check compares.
"""


def put(file: Path, text: str) -> None:
    """Write one part of the page in the place of the one with the same heading; the others stay."""
    parts = re.split(r"(?m)^(?=# )", file.read_text()) if file.exists() else []
    heading = text.partition("\n")[0]
    kept = {part.partition("\n")[0]: part.rstrip("\n") for part in parts if part.strip()}
    file.write_text("\n\n".join((kept | {heading: text.rstrip("\n")}).values()) + "\n")


def page(results: Any, checks: list[str], half: str, examples: int) -> str:
    """The whole page, as Markdown."""
    unseen = "design" if half == "report" else "report"
    parts = [INTRODUCTION.format(examples=examples, methods=_methods(results.methods), half=half, unseen=unseen)]
    parts.append("## Sound explanations\n\n" + _sound(results.sound, checks))
    parts.append("## Planted faults\n\n" + _faulty(results.faulty, checks))
    parts.append("## Models\n\n" + _models(results.accuracy))
    if results.alarms:
        parts.append("## What the alarms said\n\n" + "\n".join(f"* {text}" for text in results.alarms))
    parts.append(f"{len(results.sound)} sound cases and {sum(map(len, results.faulty.values()))} faulty ones.")
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _methods(turns: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in turns.most_common())


def _sound(cases: list[Any], checks: list[str]) -> str:
    lines = [
        "| check | cases judged | alarms | rate | 95 % interval | meets | inconclusive | not measured or does not apply |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|")
    for name in checks:
        said = Counter(found[name] for found in cases if name in found)
        judged = sum(said[verdict] for verdict in VERDICTS)
        share, ends = rate(said["does_not_meet"], judged)
        rest = sum(said.values()) - judged
        lines.append(
            f"| {name} | {judged} | {said['does_not_meet']} | {share} | {ends} | {said['meets'] + said['info']} | "
            f"{said['inconclusive']} | {rest} |"
        )
    return "\n".join(lines)


def _faulty(faults: dict[str, list[Any]], checks: list[str]) -> str:
    lines = ["| planted explanation | cases | caught | rate | 95 % interval | by |", "|---|---|---|---|---|---|"]
    for name, cases in faults.items():
        everyone = [*checks, "withheld"]
        caught = sum(any(found[check] == "does_not_meet" for check in everyone) for found in cases)
        by = Counter(check for found in cases for check in everyone if found[check] == "does_not_meet")
        share, ends = rate(caught, len(cases))
        told = ", ".join(f"{check} {count}" for check, count in by.most_common())
        lines.append(f"| {name} | {len(cases)} | {caught} | {share} | {ends} | {told} |")
    return "\n".join(lines)


def _models(accuracy: dict[tuple[str, int], float]) -> str:
    lines = ["| family | models | test accuracy, least | median |", "|---|---|---|---|"]
    for family in dict.fromkeys(name for name, _ in accuracy):
        values = [v for (name, _), v in accuracy.items() if name == family]
        lines.append(f"| {family} | {len(values)} | {min(values):.3f} | {np.median(values):.3f} |")
    return "\n".join(lines)


def rate(hits: int, n: int) -> tuple[str, str]:
    """A share and the ends of its exact interval, in words."""
    if not n:
        return "–", "–"
    low, high = clopper_pearson(hits, n)
    return f"{hits / n:.1%}", f"{float(low):.1%} to {float(high):.1%}"
