"""Does the method do better than maps that explain nothing?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from labkit.checks._examples import Share, share
from labkit.records.explain import Explanation, Score
from labkit.records.finding import Finding, FindingStatus

CRITERION = "better than a random and a constant map on most examples"
FILLS = ("background", "noise", "shuffled")  # what may stand in the baseline's place
NOTHING = ("random", "constant")  # controls that know neither model nor input


def beats_controls(record: Explanation) -> Iterator[Finding]:
    """For each faithfulness measure with a direction: is the method better than a random and a constant map, example by
    example, and does a map of the input alone (its copy, its edges) do as well?

    A measure that ranks such a map clearly first, before the method and a random map, rewards what knows nothing of the
    model: it is struck out, and counts neither for nor against the method (Hedstrom et al., 2023, arXiv 2302.07265).
    That the method is worse than chance must be sure at 1 % over all the measures together. A second fill says whether
    the ranking also holds against something else than its own baseline; that it does not is no fault.
    """
    cases: list[tuple[str, Score, bool]] = []
    for name, score in record.scores.items():
        if score.not_applicable:
            says = f"{name} does not apply to {record.method}: {score.not_applicable}."
            yield Finding(check="beats_controls", status="not_applicable", says=says, subject=name, criterion=CRITERION)
        elif score.better and score.controls:
            cases.append((name, score, False))
            cases += [(f"{name}, {fill}", _part(score, fill), True) for fill in FILLS if fill in score.more]
    for name, score, second in cases:
        yield _finding(record, name, score, second, len(cases))


def _part(score: Score, fill: str) -> Score:
    """The same measure taken another way."""
    controls = {name: Score(values=control.more[fill]) for name, control in score.controls.items()}
    return Score(values=score.more[fill], better=score.better, controls=controls)


def _finding(record: Explanation, subject: str, score: Score, second: bool, comparisons: int) -> Finding:
    sign = 1 if score.better == "higher" else -1
    own = sign * score.values
    controls = {n: sign * c.values for n, c in score.controls.items() if not c.not_applicable}
    known = np.isfinite(own) & np.logical_and.reduce([np.isfinite(v) for v in controls.values()])
    if not known.any():
        says = f"{subject} could not be computed on any example."
        return Finding(check="beats_controls", status="not_measured", says=says, subject=subject, criterion=CRITERION)
    own, controls = own[known], {name: values[known] for name, values in controls.items()}
    wins = {name: _wins(own, values) for name, values in controls.items()}
    hardest = min(NOTHING, key=lambda name: wins[name].hits)
    lost = wins[hardest].surely_few(comparisons)
    first = _first(wins, controls, lost)
    if first:
        status, more = _struck(first)
    elif wins[hardest].side() == "most":
        status, more = "meets", f"Better than the {hardest} map on {wins[hardest]}.{_beside(wins)}"
    else:
        status, more = _not_better(wins[hardest], hardest, lost, second)
    means = ", ".join(f"{name} {sign * values.mean():.3g}" for name, values in controls.items())
    low, high = wins[hardest].ends
    return Finding(
        check="beats_controls",
        status=status,
        says=f"{subject} of {record.method} is {sign * own.mean():.3g} ({score.better} is better; {means}). {more}",
        estimate=wins[hardest].hits / wins[hardest].n,
        low=low,
        high=high,
        n=wins[hardest].n,
        criterion=CRITERION,
        subject=subject,
    )


def _first(wins: dict[str, Share], controls: dict[str, np.ndarray], lost: bool) -> str:
    """The control, if any, that the measure clearly ranks before the method and a random map.

    Where chance is sure to beat the method, only a constant map is a reason to doubt the measure.
    """
    for name in ("constant",) if lost else ("constant", "input", "edge"):
        ahead = name in wins and wins[name].side() == "few"
        if ahead and _wins(controls[name], controls["random"]).side() == "most":
            return name
    return ""


def _struck(first: str) -> tuple[FindingStatus, str]:
    called = {"constant": "a constant map", "input": "a copy of the input", "edge": "the input's edges"}[first]
    return "not_measured", f"The measure prefers {called} to both the method and a random map: struck out."


def _not_better(won: Share, hardest: str, lost: bool, second: bool) -> tuple[FindingStatus, str]:
    more = f"Better than the {hardest} map on {won}."
    if lost and second:
        return "inconclusive", f"{more} The ranking tells what counts against its own baseline only."
    if lost:
        return "does_not_meet", f"{more} A map that explains nothing does as well."
    return "inconclusive", more


def _beside(wins: dict[str, Share]) -> str:
    """What of maps of the input alone that the method is not clearly ahead of."""
    said = ""
    for name, called in (("input", "A copy of the input"), ("edge", "A map of the input's edges")):
        if name in wins and wins[name].side() != "most":
            compared = "better" if wins[name].side() == "few" else "about as well"
            said += f" {called} does {compared}: the method is ahead on {wins[name]}."
    return said


def _wins(own: np.ndarray, other: np.ndarray) -> Share:
    """On how many examples the first is larger; a tie counts as half."""
    return share((own > other) + 0.5 * (own == other))
