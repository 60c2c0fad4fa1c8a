"""What the command line prints, and the files that single results go to."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labkit.core import progress

if TYPE_CHECKING:
    from labkit.core.record import Record
    from labkit.models.layers import Layer
    from labkit.records.finding import Finding
    from labkit.report.audit import Report
    from labkit.report.evidence import Outcome

STATUSES = ("does_not_meet", "inconclusive", "not_measured")


class Lines:
    """One line a step on the terminal: what, and how long it took or that it was there already.

    A person who watches also sees how long the step under way will still take, where the work within it tells.
    """

    def __init__(self) -> None:
        self.open = False
        self._left, self._said = progress.Left(), 0.0

    @contextmanager
    def watching(self) -> Iterator[Lines]:
        """Within this context, work that says how far it is is heard."""
        with progress.listening(self.hear if sys.stdout.isatty() else None):
            yield self

    def hear(self, what: str, done: int, total: int) -> None:
        """Write behind the step under way how long it will still take, at most five times a second."""
        left = self._left(what, done, total)
        if self.open and left and time.monotonic() - self._said > 0.2:
            self._said = time.monotonic()
            # back by as many places: the line's own end is written over it
            click.echo(f"{left:<20.20}" + "\b" * 20, nl=False)

    def __call__(self, what: str, outcome: Outcome | None) -> None:
        if outcome is None:
            click.echo(f"  {what:<72.72} ", nl=False)
            self.open = True
            return
        if not self.open:
            click.echo(f"  {what:<72.72} kept")
            return
        self.open = False
        if self._said:
            click.echo(" " * 20 + "\b" * 20, nl=False)
            self._said = 0.0
        mark = {"not_measured": "not measured", "contradicted": "contradicted"}.get(outcome.status, "")
        click.echo(f"{outcome.seconds:6.1f} s  {mark}".rstrip())


def summary(report: Report, out: Path) -> None:
    """What was found, in one line, and where the report is."""
    counts: Counter[str] = Counter(f.status for f in report.findings)
    words = ", ".join(f"{counts[s]} {w}" for s, w in (("meets", "met"), ("does_not_meet", "not met")))
    missing = sum(o.status == "not_measured" for o in report.outcomes)
    click.echo()
    click.echo(f"criteria: {words}, {counts['inconclusive']} inconclusive; questions not measured: {missing}")
    click.echo(f"report: {out / 'index.html'}")


def tell(findings: Iterable[Finding]) -> None:
    """Print findings, one a line."""
    for finding in findings:
        click.echo(f"  {finding}")


def tell_answers(outcomes: Iterable[Outcome]) -> None:
    """Print what each question was answered with and what checks say of it; last what has no answer, and warnings."""
    missing: dict[str, list[str]] = {}
    warnings: dict[str, None] = {}
    for outcome in outcomes:
        if outcome.status == "not_measured":
            missing.setdefault(outcome.says, []).append(outcome.step.question)
            continue
        click.echo(f"\n{outcome.step.question}\n{outcome.says}")
        tell(f for f in outcome.findings if f.status not in ("not_applicable", "not_measured"))
        warnings |= dict.fromkeys(outcome.record.warnings if outcome.record is not None else ())
    for says, questions in missing.items():
        click.echo("\n" + "\n".join(questions) + f"\n{says}")
    if warnings:
        click.echo("\nWhat must be known beside this:\n" + "\n".join(f"  ! {warning}" for warning in warnings))


def tell_layers(layers: Iterable[Layer]) -> None:
    """Print layers, one a line."""
    for layer in layers:
        shape = " x ".join(map(str, layer.shape))
        runs = f", runs {layer.runs} times" if layer.runs != 1 else ""
        click.echo(f"{layer.name:<32} {layer.kind:<20} {shape + runs:<24} {'map' if layer.fits else ''}".rstrip())


def tell_harms() -> tuple[str, ...]:
    """What may go wrong for people, with the metrics that answer it, a paragraph each."""
    from labkit.core.harms import HARMS

    return tuple(map(str, HARMS))


def writable(out: str | None) -> None:
    """Refuse an output folder that cannot be one, before anything is computed."""
    from labkit.core.store import as_folder

    as_folder(out or ".")


def show(record: Record, out: str | None) -> int:
    """Say what a record says and what the checks find; keep record, table and picture when asked to."""
    import labkit as lk

    click.echo(lk.says(record))
    tell(lk.check(record))
    if out:
        from labkit.core.store import write_atomic
        from labkit.report.evidence import table
        from labkit.views._static import svg

        stem = Path(out) / record.kind
        lk.save(record, stem.with_suffix(".lk"))
        if record.status != "not_measured":
            write_atomic(stem.with_suffix(".csv"), table(lk.rows(record)))
            write_atomic(stem.with_suffix(".svg"), svg(lk.figure(record), name=record.kind, describe=lk.says(record)))
        click.echo(f"in {out}")
    return 0
