"""Run a plan on models and keep what it finds, step by step."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import labkit as lk
from labkit.core import progress
from labkit.core.cost import Meter
from labkit.core.record import Record
from labkit.core.refused import Refused
from labkit.data.split import Dataset, Split
from labkit.records.finding import Finding
from labkit.report import controls, steps
from labkit.report import plan as plans
from labkit.report.agreement import agreement
from labkit.report.evidence import Outcome, untimed
from labkit.report.folder import Folder
from labkit.report.plan import Plan, Step
from labkit.report.subject import Audited, Subject, subjects

if TYPE_CHECKING:
    from pathlib import Path

Listener = Callable[[str, Outcome | None], None]


@dataclass(frozen=True)
class Report:
    """An audit's outcomes, in the order of the plan, for each subject.

    Attributes:
        plan: with its criteria, fixed before any result.
        subjects: name and digests of each audited model and its data.
        outcomes: one a subject and step.
        controls: the outcomes of planted faults and their sound twins.
        identity: what the audit was run with; equal identities give equal evidence.
        started: when, in UTC.
        cards: of the reference models among the subjects.
        answering: what it took to ask each subject for all its answers, before the first step.
    """

    plan: Plan
    subjects: tuple[Mapping[str, Any], ...]
    outcomes: tuple[Outcome, ...]
    controls: Outcome
    identity: Mapping[str, Any]
    started: str
    cards: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    answering: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding of every subject."""
        return tuple(f for o in self.outcomes for f in o.findings)

    def of(self, subject: str) -> tuple[Outcome, ...]:
        """The outcomes of one subject."""
        return tuple(o for o in self.outcomes if o.subject == subject)

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Write the whole report; returns the path of its page.

        Raises:
            Refused: a folder that holds other things.
        """
        kept = Folder(folder)
        kept.begin(self.identity, self.plan, self.started)
        described = {str(s["name"]): s for s in self.subjects}
        for outcome in (*self.outcomes, self.controls):
            kept.put(self.plan, described.get(outcome.subject, {"name": outcome.subject}), outcome)
        return finish(self, kept)


def audit(
    models: Audited | Sequence[Audited] | None = None,
    data: Dataset | Split | str | None = None,
    plan: str | os.PathLike[str] | Plan = "default",
    out: str | os.PathLike[str] | None = None,
    *,
    rows: int | None = None,
    listen: Listener | None = None,
) -> Report:
    """Run every step of a plan on every model, with the plan's criteria.

    With ``out`` each step's evidence is written as soon as it is there. The same call with the same folder goes on
    where an interrupted one stopped; the finished evidence is the same, byte for byte, as that of a run in one go.

    Args:
        models: models, reference models by name, Predictions or Scores; None audits one for images, one for tables, one for text.
        data: a data set or its name; reference models bring their own. Beside Predictions or Scores a Split holds what
            else is known of the same people.
        plan: a path that ends in ``.toml``, or the name of one of labkit's own.
        out: the report's folder.
        rows: at most so many examples in every step.
        listen: hears ``(what, None)`` before each step and ``(what, outcome)`` after it.

    Raises:
        Refused: an unknown name, a plan that does not hold together, inputs that the model cannot answer, a folder
            that holds other things. Nothing has been written then.
    """
    plan = plans.load(plan, rows=rows)
    audited = subjects(models, data)
    folder = Folder(out) if out is not None else None
    started = datetime.now(UTC).isoformat(timespec="seconds")
    answering = _admit(audited)
    identity = _identity(plan, audited)
    if folder and folder.begin(identity, plan, started):
        started = folder.times["started"]
    work = _Work(plan, folder, listen or (lambda what, outcome: None))
    outcomes = [o for subject in audited for o in work.subject(subject)]
    planted = work.outcome({"name": CONTROLS.id}, CONTROLS, lambda: controls.run(plan))
    described = tuple(s.describe() for s in audited)
    cards = {s.name: s.card for s in audited if s.card}
    report = Report(plan, described, tuple(outcomes), planted, identity, started, cards, answering)
    if folder:
        finish(report, folder)
    return report


CONTROLS = Step(
    id="controls",
    section="controls",
    question="Do the tests find what was planted, and nothing where nothing was?",
    analysis="controls",
)
AGREEMENT = Step(
    id="agreement",
    section="explanation",
    question="Do the attribution methods agree?",
    analysis="agreement",
)


def finish(report: Report, folder: Folder) -> Path:
    """Write page and manifest beside the evidence; returns the page's path."""
    from labkit.report import html
    from labkit.report.folder import MANIFEST, PAGE
    from labkit.report.verify import manifest

    folder.write(PAGE, html.page(report, folder.content()).encode())
    folder.write(MANIFEST, manifest(report, folder.content()))
    return folder.root / PAGE


def _admit(audited: Sequence[Subject]) -> dict[str, dict[str, Any]]:
    """Ask every model for all its answers before anything is written, so that bad input is refused as a whole; and what
    that took, by subject."""
    took = {}
    for subject in audited:
        meter = Meter()
        subject.answers("test")
        if subject.training:
            subject.predictions("train")
        took[subject.name] = meter.cost()
    return took


def _identity(plan: Plan, audited: Sequence[Subject]) -> dict[str, Any]:
    """What evidence depends on: the same identity gives the same bytes."""
    from importlib.metadata import version

    made = [s.answers("test").provenance for s in audited]
    return {
        "schema": "labkit.audit/1",
        "labkit": lk.__version__,
        "plan": {"name": plan.name, "sha256": plan.sha256},
        "subjects": [s.describe() for s in audited],
        "settings": {name: value for p in made for name, value in p.settings.items()},
        "packages": {p: version(p) for p in ("numpy", "scipy", "torch")} | dict(made[0].packages),
    }


class _Work:
    """The steps of one audit: each is looked up in the folder, or done and put there."""

    def __init__(self, plan: Plan, folder: Folder | None, listen: Listener) -> None:
        self.plan, self.folder, self.listen = plan, folder, listen

    def subject(self, subject: Subject) -> list[Outcome]:
        described = subject.describe()
        todo = [s for step in self.plan.for_modality(subject.modality) for s in steps.each(subject, step)]
        found = []
        for i, step in enumerate(todo):
            progress.step(f"{subject.name}: {step.id}", i, len(todo))
            found.append(self.outcome(described, step, partial(self._measure, subject, step)))
        explained = [o for o in found if o.step.analysis == "explain" and o.record is not None]
        if len(explained) > 1:
            found.append(self.outcome(described, AGREEMENT, lambda: agreement(explained)))
        progress.step(subject.name, len(todo), len(todo))
        return found

    def outcome(self, subject: Mapping[str, Any], step: Step, make: Callable[[], Any]) -> Outcome:
        """The kept outcome of a step, or that of ``make``, which gives a record or findings, or is refused."""
        name = str(subject["name"])
        kept = self.folder.get(self.plan, subject, step) if self.folder else None
        if kept is None:
            self.listen(f"{name}: {step.question}", None)
            kept = self._do(Outcome(name, step), make)
            if self.folder:
                self.folder.put(self.plan, subject, kept)
        self.listen(f"{name}: {step.question}", kept)
        return kept

    def _measure(self, subject: Subject, step: Step) -> Record:
        return untimed(steps.run(subject, step, self.plan.seed))

    def _do(self, outcome: Outcome, make: Callable[[], Any]) -> Outcome:
        started, meter = datetime.now(UTC).isoformat(timespec="seconds"), Meter()
        try:
            made = make()
        except Refused as refused:
            outcome = replace(outcome, reason=f"of {refused.given}. It would take {refused.instead}.")
        else:
            if isinstance(made, tuple):
                outcome = replace(outcome, findings=made)
            else:
                outcome = replace(outcome, record=made, findings=lk.check(made, thresholds=self.plan.thresholds))
        took = meter.cost()
        return replace(outcome, started=started, seconds=took["seconds"], took=took)
