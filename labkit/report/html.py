"""A report as one HTML file: no script, no request, nothing in it but what autoescape let through and our own drawings."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import labkit as lk
from labkit.records.finding import SHAPES, Finding
from labkit.report import costs, plain, wording
from labkit.report import evidence as ev
from labkit.report.evidence import Outcome, slug
from labkit.report.folder import AUDIT, PLAN, published

if TYPE_CHECKING:
    import pandas as pd

    from labkit.report.audit import Report

ROWS_SHOWN = 40
CELL = 160
# So many findings of one check that are met share a row, or stand behind a fold.
MANY = 4
INSIDE = ("info", "not_applicable")
WORST = ("does_not_meet", "inconclusive", "not_measured", "meets")
# Checks of a method rather than of the model: they share a row, and those that are met stand behind a fold.
OF_ATTACKS = frozenset(
    {
        "attack_converged",
        "best_iterate_kept",
        "finite_under_attack",
        "gradient_masking",
        "input_scale",
        "random_answers",
    }
)


def page(report: Report, content: Mapping[str, bytes]) -> str:
    """The report's page. ``content`` are the files already in its folder, whose digests it prints."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    room = Environment(
        loader=PackageLoader("labkit.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    room.filters |= {"number": number, "interval": interval, "cell": cell, "slug": slug, "opened": capital}
    documents = {name: data for name, data in content.items() if name.startswith("evidence/")}
    return room.get_template("report.html.j2").render(
        report=report,
        plan=report.plan,
        names=[str(s["name"]) for s in report.subjects],
        sections=_sections(report),
        table=_findings(report),
        plain=plain.summary(report),
        untested=_untested(report),
        wording=wording,
        shapes=SHAPES,
        files=_files(report, content),
        evidence_sha256=ev.sha256(ev.dump({n: ev.sha256(d) for n, d in sorted(documents.items())})),
        view=_view,
        folded=_folded,
        again=_again(report),
        cost=costs.table(report),
        energy=costs.method(report),
    )


def _sections(report: Report) -> list[dict[str, Any]]:
    """The sections that have outcomes, each with its subjects and their outcomes."""
    found = []
    for key, (title, lead) in wording.SECTIONS.items():
        parts = [(s["name"], [o for o in report.of(s["name"]) if o.step.section == key]) for s in report.subjects]
        parts = [(name, outcomes) for name, outcomes in parts if outcomes]
        if parts:
            found.append({"id": key, "title": title, "lead": lead, "parts": parts})
    return found


def _findings(report: Report) -> list[dict[str, Any]]:
    """The findings table: subjects, their questions, and under each the findings; what only informs is left out."""
    table = []
    for subject in report.subjects:
        questions = [{"outcome": o, "rows": _rows(report, o)} for o in report.of(subject["name"])]
        table.append({"subject": subject["name"], "questions": [q for q in questions if q["rows"]]})
    return table


def _rows(report: Report, outcome: Outcome) -> list[dict[str, Any]]:
    """One row a finding. The checks of a method, be it an attribution or an attack, share one row."""
    if outcome.record is None and outcome.reason:
        return [_row("", "–", None, "–", "", "not_measured")]
    judged = [f for f in outcome.findings if f.status not in INSIDE]
    shared, own = _of_method(outcome, judged), []
    if shared:
        known = [f for f in shared if f.status != "not_measured"] or shared
        worst = min((f.status for f in known), key=WORST.index)
        met = sum(f.status == "meets" for f in known)
        n = max((f.n for f in known if f.n), default=None)
        kind = "method" if outcome.step.section == "explanation" else "attack"
        what = f"whether the {kind} can be believed"
        own = [_row(what, f"{met} of {len(known)} checks met", n, f"each check of the {kind}", "", worst)]
    rest = sorted((f for f in judged if f not in shared), key=lambda f: WORST.index(f.status))
    together = Counter((f.check, f.criterion) for f in rest if f.status == "meets")
    for f in rest:
        said, name = (f.check, f.criterion), f.check.replace("_", " ")
        set_by = report.plan.criterion(f.check).set_by
        if f.status != "meets" or 0 < together[said] < MANY:
            what = f"{name}{': ' if f.subject else ''}{f.subject}"
            own.append(_row(what, interval(f), f.n, f.criterion, set_by, f.status))
        elif together[said]:
            own.append(_row(f"{name}: {together[said]} in all", "–", None, f.criterion, set_by, f.status))
            together[said] = 0  # they share the row that was just made
    return own


def _of_method(outcome: Outcome, findings: Sequence[Finding]) -> list[Finding]:
    """The findings that are about the method that measured, and not about the model."""
    if outcome.step.section == "explanation":
        return list(findings)
    return [f for f in findings if f.check in OF_ATTACKS]


def _folded(outcome: Outcome) -> list[Finding]:
    """What an attack was checked for and met; and, where they are many, findings that are met or only inform."""
    if outcome.step.section == "explanation":
        return []
    of_attack = [f for f in _of_method(outcome, outcome.findings) if f.status == "meets"]
    quiet = [f for f in outcome.findings if f.status in ("meets", "info")]
    return of_attack or (quiet if MANY <= len(quiet) < len(outcome.findings) else [])


def _row(what: str, estimate: str, n: int | None, criterion: str, set_by: str, status: str) -> dict[str, Any]:
    return {"what": what, "estimate": estimate, "n": n, "criterion": criterion, "set_by": set_by, "status": status}


def _untested(report: Report) -> list[dict[str, str]]:
    """What the plan asked and no number answers, and what the plan did not ask."""
    gaps = [
        {"what": f"{o.subject}: {o.step.question}", "why": capital(o.reason or o.record.reason)}  # type: ignore[union-attr]
        for o in report.outcomes
        if o.status == "not_measured"
    ]
    return gaps + [{"what": o.what, "why": o.why} for o in report.plan.outside]


def _files(report: Report, content: Mapping[str, bytes]) -> list[tuple[str, str]]:
    return [
        (name, ev.sha256(data)) for name, data in sorted(content.items()) if name.startswith(("evidence/", AUDIT, PLAN))
    ]


def _view(outcome: Outcome) -> dict[str, Any]:
    """Picture, table and words of one outcome."""
    record = outcome.record
    shown: dict[str, Any] = {"title": "", "svg": None, "missing": "", "columns": [], "rows": [], "more": 0}
    if record is None or record.status == "not_measured":
        return shown
    rows = lk.rows(record)
    shown |= {
        "published": [
            {"csv": published(outcome, name), "columns": list(frame.columns), "rows": _cells(frame)}
            for name, frame in lk.views.tables(record).items()
        ],
        "notes": lk.views.notes(record),
        "columns": [str(c) for c in rows.columns],
        "rows": _cells(rows.head(ROWS_SHOWN)),
        "more": max(0, len(rows) - ROWS_SHOWN),
        "csv": f"figures/{slug(outcome.subject)}/{slug(outcome.step.id)}.csv",
        "does_not_show": wording.DOES_NOT_SHOW.get(record.kind, wording.DOES_NOT_SHOW_OTHERWISE),
        "options": json.dumps(ev.plain(record.provenance.options), ensure_ascii=False),
    }
    return shown | _picture(outcome)


def _picture(outcome: Outcome) -> dict[str, Any]:
    from markupsafe import Markup

    from labkit.views._static import svg
    from labkit.views._static.scale import plain as text

    figure = lk.figure(outcome.record)  # type: ignore[arg-type]
    name = f"{slug(outcome.subject)}-{slug(outcome.step.id)}"
    title = text(figure.layout.title.text)
    try:
        # The one place where markup is trusted: an SVG that our own drawing made, whose text its writer escaped.
        return {"svg": Markup(svg(figure, name=name, describe=outcome.says, heading=False)), "title": title}
    except NotImplementedError as error:
        return {"missing": str(error), "title": title}


def _cells(rows: pd.DataFrame) -> list[list[str]]:
    return [[cell(v) for v in row] for row in rows.itertuples(index=False)]


def cell(value: Any) -> str:
    """One table cell as text: three or four digits, a dash for what is missing, long text cut."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return number(value)
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return text if len(text) <= CELL else f"{text[:CELL]}…"


def number(value: float | None) -> str:
    """Four digits at most; an en dash for what was not measured."""
    if value is None or not math.isfinite(value):
        return "–" if value is None or math.isnan(value) else "∞" if value > 0 else "−∞"
    size = abs(value)
    if size >= 1000:
        return f"{round(value):,}".replace("-", "−")
    text = f"{value:.3f}".rstrip("0").rstrip(".") if 0.001 <= size < 10 else f"{value:.3g}"
    return text.replace("-", "−")


def interval(found: Finding) -> str:
    """An estimate with its interval, in one cell."""
    if found.estimate is None:
        return "–"
    if found.low is None or found.high is None:
        return number(found.estimate)
    return f"{number(found.estimate)} ({number(found.low)} to {number(found.high)})"


def capital(text: str) -> str:
    """A text that begins like a sentence, unless its first word is a name in code."""
    return text if "_" in text.partition(" ")[0] else text[:1].upper() + text[1:]


def _again(report: Report) -> str:
    """The arguments that run the audit again. Only names of reference models are printed: a name is somebody's text."""
    names = [str(s["name"]) for s in report.subjects]
    return " ".join(names) if set(names) <= set(report.cards) else "MODEL --data DATA"
