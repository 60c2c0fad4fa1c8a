"""The report's first page: what was tested and found, in at most 250 plain words, without an overall score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.records.attack import in_words
from labkit.report import people, remembering, wording
from labkit.report.evidence import Outcome
from labkit.report.people import of_100

if TYPE_CHECKING:
    from labkit.report.audit import Report

WORDS = 250
# So many questions without an answer are named; the rest are counted.
GAPS = 3


@dataclass(frozen=True)
class Summary:
    """The plain page's sentences, in four lists."""

    asked: tuple[str, ...]
    found: tuple[str, ...]
    missing: tuple[str, ...]
    todo: tuple[str, ...]

    @property
    def words(self) -> int:
        return sum(len(s.split()) for s in (*self.asked, *self.found, *self.missing, *self.todo))


def summary(report: Report) -> Summary:
    """At most 250 words. The least important findings are left to the table when there is no room."""
    found = sorted(_ranked(report), key=lambda s: s[0])
    kept = Summary(_asked(report), (), _missing(report), _todo(report))
    chosen: list[tuple[int, str]] = []
    for _, i, text in found:
        if kept.words + sum(len(t.split()) for _, t in chosen) + len(text.split()) <= WORDS:
            chosen.append((i, text))
    return Summary(kept.asked, tuple(t for _, t in sorted(chosen, key=lambda c: c[0])), kept.missing, kept.todo)


def _ranked(report: Report) -> list[tuple[int, int, str]]:
    """Rank, place and text of each sentence. The second of a kind about one subject counts less than the first."""
    told: Counter[tuple[str, str]] = Counter()
    found = []
    for i, outcome in enumerate(report.outcomes):
        for rank, text in _sentences(outcome):
            again = told[outcome.subject, outcome.step.analysis + str(rank)]
            told[outcome.subject, outcome.step.analysis + str(rank)] += 1
            found.append((rank + again, i, text))
    return found


def _asked(report: Report) -> tuple[str, ...]:
    names = [str(s["name"]) for s in report.subjects]
    counts: Counter[str] = Counter(f.status for f in report.findings)
    parts = [
        f"{counts[status]} {word}"
        for status, word in (
            ("meets", "met"),
            ("does_not_meet", "not met"),
            ("inconclusive", "inconclusive"),
            ("not_measured", "not measured"),
        )
        if counts[status]
    ]
    purpose = (report.plan.about.purpose.strip(),) if report.plan.about.purpose.strip() else ()
    return (*purpose, f"Tested: {_join(names)}. Criteria, fixed before any result was seen: {_join(parts) or 'none'}.")


def _missing(report: Report) -> tuple[str, ...]:
    """Questions without an answer, each once, with the subjects that lack it; and what the plan did not ask."""
    answered = {(o.subject, _question(o)) for o in report.outcomes if o.status != "not_measured"}
    by_question: dict[str, list[str]] = {}
    for outcome in report.outcomes:
        if outcome.status == "not_measured":
            question = _question(outcome)
            if (outcome.subject, question) in answered:
                question = outcome.step.question.rstrip("?")
            by_question.setdefault(question, []).append(outcome.subject)
    gaps = [f"{_capital(q)}: not for {_join(list(dict.fromkeys(names)))}." for q, names in by_question.items()]
    if len(gaps) > GAPS:
        gaps[GAPS:] = [f"{len(gaps) - GAPS} more questions, all named under “What was not tested”."]
    outside = [o.what.rstrip(".") for o in report.plan.outside[:4]]
    return (*gaps, *((f"Not in the plan: {_join(outside)}.",) if outside else ()))


def _question(outcome: Outcome) -> str:
    """What a step asks, whatever the groups are that it asks it of."""
    return outcome.step.question.rstrip("?").removesuffix(f", by {outcome.step.options.get('by')}")


def _todo(report: Report) -> tuple[str, ...]:
    seen = {f.status for f in report.findings} | {o.status for o in report.outcomes}
    if any(f.status != "meets" for f in report.controls.findings):
        return ("Do not rely on this report: a test failed on its planted control.",)
    return tuple(text for status, text in wording.NEXT.items() if status in seen)[:3]


def _sentences(outcome: Outcome) -> list[tuple[int, str]]:
    """Sentences about one outcome with their rank: 0 is the first to be kept."""
    record: Any = outcome.record
    if record is None or record.status == "not_measured":
        return []
    if record.status == "contradicted":
        return [(0, f"{outcome.subject}: {outcome.step.question} Contradicted: {record.reason}")]
    tell = _TELL.get(record.kind)
    return tell(outcome.subject, record) if tell else []


def _predictions(name: str, record: Any) -> list[tuple[int, str]]:
    if not record.has_truth:
        return [(0, f"{name}: no true answers were given, so nobody can tell how often it is right.")]
    each = np.ones(len(record)) if record.count is None else record.count
    right, n = int(each[record.label == record.y].sum()), record.people
    return [(0, f"{name}: of 100 new cases it gets about {of_100(right, n)} right (n = {n:,}).")]


def _robustness(name: str, record: Any) -> list[tuple[int, str]]:
    standing = np.round(record.robust_accuracy() * len(record.y))
    middle = len(record.eps) // 2
    text = (
        f"{name}: when somebody may change {_change(record.norm, record.eps[middle])}, at most "
        f"{of_100(standing[middle], len(record.y))} of 100 answers stay right (n = {len(record.y):,})."
    )
    return [(1, text)]


def _change(norm: str, eps: float) -> str:
    """What a threat model allows, as people say it."""
    few = f"{eps:.0f} {{}}{'' if eps == 1 else 's'}"
    return {
        "linf": f"each number of an input by {eps:.2g}",
        "l0": few.format("number") + " of an input",
        "edits": few.format("word") + " of a text",
        "cost": f"what people can change, at a price of {eps:.2g}",
        "noise_to_signal": f"an input by {100 * eps:.2g} % of its size",
        "rotation_translation_scale": f"how a picture is turned, moved and scaled, to {100 * eps:.0f} % of what was tried",
    }.get(norm, f"an input by {eps:.2g} ({in_words(norm)})")


def _sandwich(name: str, record: Any) -> list[tuple[int, str]]:
    """What is proven, at the largest budget at which that is half of the right answers, or else at the smallest."""
    n, some = len(record.correct), np.flatnonzero(record.eps > 0)
    much = some[record.at_least[some] >= 0.5 * record.correct.mean()]
    at = int(much[-1]) if len(much) else int(some[0]) if len(some) else 0
    proven = round(float(record.at_least[at]) * n)
    text = (
        f"{name}: it is proven that at least {of_100(proven, n)} of 100 answers stay right when somebody may change "
        f"{_change(record.norm, record.eps[at])}."
    )
    return [(2, text)]


def _shifts(name: str, record: Any) -> list[tuple[int, str]]:
    n = len(record.y)
    hit = round(float((record.label == record.y).mean()) * n)
    clean = round(float((record.clean == record.y).mean()) * n)
    text = (
        f"{name}: under natural damage such as noise and blur about {100 * hit / n:.0f} of 100 answers are right, "
        f"without it {100 * clean / n:.0f} (n = {n:,})."
    )
    return [(1, text)]


def _baselines(name: str, record: Any) -> list[tuple[int, str]]:
    """How many the nearest model that can be read gets right."""
    if record.metric != "accuracy" or record.readable:
        return []
    at = record.hardest
    other = of_100(round(record.score[at] * record.n), record.n)
    return [(1, f"{name}: the {record.baselines[at]}, which anyone can read, gets about {other} of 100 right.")]


_TELL: dict[str, Callable[[str, Any], list[tuple[int, str]]]] = {
    "predict": _predictions,
    "baselines": _baselines,
    "robustness_curve": _robustness,
    "sandwich": _sandwich,
    "natural_shifts": _shifts,
    **people.TELL,
    **remembering.TELL,
}


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
