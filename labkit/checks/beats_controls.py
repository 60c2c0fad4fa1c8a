"""Does the method do better than maps that explain nothing?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from labkit.checks._examples import Share, share
from labkit.records.explain import Explanation, Score
from labkit.records.finding import Finding

CRITERION = "better than a random and a constant map on most examples"


def beats_controls(record: Explanation) -> Iterator[Finding]:
    """For each faithfulness measure with a direction: is the method better than a random and a constant map, example by
    example, and does a mere copy of the input do as well?

    A measure that ranks the constant map above both the method and the random map rewards saying nothing: it is struck
    out, and counts neither for nor against the method (Hedstrom et al., 2023, arXiv 2302.07265).
    """
    for name, score in record.scores.items():
        if score.not_applicable:
            says = f"{name} does not apply to {record.method}: {score.not_applicable}."
            yield Finding(check="beats_controls", status="not_applicable", says=says, subject=name, criterion=CRITERION)
        elif score.better and score.controls:
            yield _finding(record, name, score)
            for fill in sorted(set(score.more) & set(score.controls["random"].more)):
                if score.more[fill].ndim == 1:
                    yield _finding(record, f"{name}, {fill}", _part(score, fill))


def _part(score: Score, fill: str) -> Score:
    """The same measure taken another way."""
    controls = {name: Score(values=control.more[fill]) for name, control in score.controls.items()}
    return Score(values=score.more[fill], better=score.better, controls=controls)


def _finding(record: Explanation, subject: str, score: Score) -> Finding:
    sign = 1 if score.better == "higher" else -1
    own = sign * score.values
    controls = {n: sign * c.values for n, c in score.controls.items() if not c.not_applicable}
    known = np.isfinite(own) & np.logical_and.reduce([np.isfinite(v) for v in controls.values()])
    if not known.any():
        says = f"{subject} could not be computed on any example."
        return Finding(check="beats_controls", status="not_measured", says=says, subject=subject, criterion=CRITERION)
    wins = {name: _wins(own[known], values[known]) for name, values in controls.items()}
    nothing = {name: wins[name] for name in ("random", "constant")}
    hardest = min(nothing, key=lambda name: nothing[name].hits)
    means = ", ".join(f"{name} {sign * values[known].mean():.3g}" for name, values in controls.items())
    says = f"{subject} of {record.method} is {sign * own[known].mean():.3g} ({score.better} is better; {means})."
    if (
        nothing["constant"].side() == "few"
        and _wins(controls["constant"][known], controls["random"][known]).side() == "most"
    ):
        status, more = (
            "not_measured",
            "The measure prefers a constant map to both the method and a random map: struck out.",
        )
    else:
        status = {"most": "meets", "few": "does_not_meet", "open": "inconclusive"}[nothing[hardest].side()]
        more = f"Better than the {hardest} map on {nothing[hardest]}."
        if status == "does_not_meet":
            more += " A map that explains nothing does as well."
        elif wins["input"].side() != "most":
            compared = "better" if wins["input"].side() == "few" else "about as well"
            more += f" A copy of the input does {compared}: the method is ahead on {wins['input']}."
    low, high = nothing[hardest].ends
    return Finding(
        check="beats_controls",
        status=status,  # type: ignore[arg-type]
        says=f"{says} {more}",
        estimate=nothing[hardest].hits / nothing[hardest].n,
        low=low,
        high=high,
        n=nothing[hardest].n,
        criterion=CRITERION,
        subject=subject,
    )


def _wins(own: np.ndarray, other: np.ndarray) -> Share:
    """On how many examples the first is larger; a tie counts as half."""
    return share((own > other) + 0.5 * (own == other))
