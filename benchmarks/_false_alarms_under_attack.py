"""The part of the page of false alarms that tells of robustness."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from benchmarks._alarms_under_attack import ORDER, Case
from benchmarks._false_alarms_page import rate

INTRODUCTION = """# False alarms under attack

How often each check of a robustness curve, of a certificate beside it and of natural shifts accuses a sound model. Made
by `python -m benchmarks false_alarms --of robustness --write docs/false_alarms.md`, never by hand.

A case is one sound model on {least} to {most} rows that it has not seen, under linf or l2 at three budgets, attacked by what somebody
may ask for ({attacks}) with the controls beside it. Models differ in seed, shape, width, activation (ReLU, tanh, GELU), normalisation
(with BatchNorm and without), classes (2 to 10) and training: {plain} of {models} plainly, {robust} so that they hold against attacks. Certificates
(CROWN) stand beside the linf curves of models without an activation that has no bounds. Under shift a model is judged on
half of its rows with the drop on all of them as the tolerance, which it so just meets, the hardest case there is; its groups are drawn.

An alarm is a case in which the check says *does not meet*; *named* are those in which it says something that needs no
deed, such as that more steps had to be run. Intervals are exact (Clopper and Pearson), at 95 %, over models, each of which has its own seed
and rows. Seeds are of the half `{half}`.
"""


def page_under_attack(cases: Sequence[Case], half: str) -> str:
    """The whole part, as Markdown."""
    robust = sum(c.attacked.training != "plain" for c in cases)
    rows = [c.rows for c in cases]
    each = Counter(c.attacks for c in cases)
    introduction = INTRODUCTION.format(
        least=min(rows),
        most=max(rows),
        attacks="; ".join(f"{name}: {n}" for name, n in each.most_common()),
        plain=len(cases) - robust,
        models=len(cases),
        robust=robust,
        half=half,
    )
    parts = [introduction, "## Sound models\n\n" + _checks(cases), "## Escalations\n\n" + _escalations(cases)]
    parts.append("## Models under attack\n\n" + _models(cases))
    says = [f"* {c.attacked.model.name}, {c.norm}, {c.attacks}: {text}" for c in cases for text in c.says]
    if says:
        parts.append("## What the alarms under attack said\n\n" + "\n".join(says))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


SHIFTS = """# False alarms under natural shift

How often the checks of natural shifts accuse a sound model: made as above, by `python -m benchmarks false_alarms --of
shifts --write docs/false_alarms.md`, of images alone and without attacks. `holds_under_shift` now accuses only where its doubt is below
1 % on one side; before, above, it took the end of its interval, at 2.5 %. So these are other seeds than those above.
"""


def page_under_shift(cases: Sequence[Case], half: str) -> str:
    """The part on natural shifts, as Markdown."""
    parts = [SHIFTS, "## Sound models under shift\n\n" + _checks(cases), "## Models under shift\n\n" + _models(cases)]
    says = [f"* {c.attacked.model.name}: {text}" for c in cases for text in c.says]
    if says:
        parts.append("## What the alarms under shift said\n\n" + "\n".join(says))
    return "\n\n".join(part.rstrip("\n") for part in [*parts, f"Seeds are of the half `{half}`."]) + "\n"


def _checks(cases: Sequence[Case]) -> str:
    lines = [
        "| check | models judged | alarms | rate | 95 % interval | meets | inconclusive | named | not measured or does not apply |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in sorted({name for c in cases for name in c.found}):
        said = Counter(c.found.get(name, "not_applicable") for c in cases)
        judged = sum(said[v] for v in ORDER[:4])
        share, ends = rate(said["does_not_meet"], judged)
        lines.append(
            f"| {name} | {judged} | {said['does_not_meet']} | {share} | {ends} | {said['meets']} | {said['inconclusive']} | "
            f"{said['info']} | {len(cases) - judged} |"
        )
    return "\n".join(lines)


def _escalations(cases: Sequence[Case]) -> str:
    """Stronger attacks that ran for nothing: a cost, and no alarm."""
    lines = ["| why stronger attacks ran | models | rate | 95 % interval |", "|---|---|---|---|"]
    for name, sign in SIGNS.items():
        n = sum(sign in c.escalated for c in cases)
        lines.append("| {} | {} | {} | {} |".format(name, n, *rate(n, len(cases))))
    return "Stronger attacks on sound models cost time, and accuse nobody.\n\n" + "\n".join(lines)


SIGNS = {
    "gradients of the loss vanish, for outputs that saturate": "vanishes on",
    "gradients near by point elsewhere": "mean cosine",
    "attacks without gradients broke more": "attacks without gradients broke",
    "more steps broke more": " steps broke ",
    "any of these": " ",
}


def _models(cases: Sequence[Case]) -> str:
    lines = ["| shape | training | models | test accuracy, least |", "|---|---|---|---|"]
    made = sorted({(c.attacked.shape, c.attacked.training) for c in cases})
    for shape, training in made:
        found = [c.attacked.accuracy for c in cases if (c.attacked.shape, c.attacked.training) == (shape, training)]
        lines.append(f"| {shape} | {training} | {len(found)} | {min(found):.2f} |")
    return "\n".join(lines)
