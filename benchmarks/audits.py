"""Full audits of reference models, under attack or of what they do to groups of people, as pages of the docs.

``python -m benchmarks audits [--plan robustness] [--models fashion_cnn ...] [--out build/audits] [--write docs/audits]``

Interrupted, the same command goes on where it stopped. Every word and number of a page is the report's own.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import labkit as lk
from labkit.report.audit import Report
from labkit.report.evidence import Outcome
from labkit.report.folder import slug
from labkit.report.html import interval
from labkit.report.plain import summary
from labkit.report.wording import FINDINGS
from labkit.views._static import svg

# What a page of each plan is called, and which models it is written of unless others are named.
TITLES = {"robustness": "{} under attack", "bias": "{} and groups of people"}
MODELS = {"robustness": ["fashion_cnn", "fashion_robust"], "bias": ["adult_mlp"]}
WIDTH = 720
# Tables of more findings are folded.
OPEN = 16
SHOWN = ("does_not_meet", "inconclusive", "not_measured", "info", "meets")


def main() -> None:
    """Audit the models and write their pages."""
    options = argparse.ArgumentParser(prog="python -m benchmarks audits")
    options.add_argument("audits")
    options.add_argument("--plan", choices=TITLES, default="robustness")
    options.add_argument("--models", nargs="+")
    options.add_argument("--out", type=Path, default=Path("build/audits"))
    options.add_argument("--write", type=Path)
    given = options.parse_args()
    for name in given.models or MODELS[given.plan]:
        report = lk.audit(name, plan=given.plan, out=given.out / page(name, given.plan))
        print(f"{name}: {len(report.findings)} findings in {seconds(report):.0f} s", flush=True)
        if given.write:
            write(report, name, given.write)


def page(name: str, plan: str) -> str:
    """What a model's page and its folder of pictures are called."""
    return name if plan == "robustness" else f"{name}_{plan}"


def seconds(report: Report) -> float:
    """What all steps took together."""
    return sum(o.seconds for o in (*report.outcomes, report.controls))


def write(report: Report, name: str, folder: Path) -> None:
    """One page, and its pictures beside it."""
    pictures = folder / page(name, report.plan.name)
    pictures.mkdir(parents=True, exist_ok=True)
    for old in pictures.glob("*.svg"):
        old.unlink()
    text = "\n".join(line for part in (_head, _answers, _untested) for line in part(report, name, pictures))
    (folder / f"{pictures.name}.md").write_text(text + "\n", "utf-8")


def _head(report: Report, name: str, pictures: Path) -> Iterator[str]:
    made = f"labkit {lk.__version__}, torch {version('torch')}, Python {platform.python_version()}"
    told = summary(report)
    plan = report.plan.name
    asked = f"--models {name}" if plan == "robustness" else f"--plan {plan} --models {name}"
    yield f"# {TITLES[plan].format(name)}\n"
    yield f"Written by `python -m benchmarks audits {asked} --write docs/audits`, never by hand. The whole report, with"
    yield "its evidence, comes from\n"
    yield f"```\nlabkit audit {name} --plan {plan} --out build/{pictures.name}\n```\n"
    data = next(part["name"] for part in report.subjects[0]["data"] if part["role"] == "test")
    yield f"Run with {made} on one CPU thread ({_processor()}), {seconds(report) / 60:.0f} minutes by the clock, beside other"
    yield f"work. Data: `{data}`, the rows that each answer names. Seed {report.plan.seed}.\n"
    yield "## In plain words\n"
    yield from (f"* {text}" for text in (*told.asked, *told.found))
    yield ""


def _answers(report: Report, name: str, pictures: Path) -> Iterator[str]:
    for outcome in report.of(name):
        yield f"## {outcome.step.question}\n"
        yield f"{outcome.says}\n"
        picture = _picture(outcome, pictures)
        if picture:
            yield f"![{outcome.step.question}]({pictures.name}/{picture})\n"
        yield from _findings(outcome)


def _picture(outcome: Outcome, pictures: Path) -> str:
    if outcome.record is None or outcome.status == "not_measured":
        return ""
    name = f"{slug(outcome.step.id)}.svg"
    drawn = svg(
        lk.figure(outcome.record), name=f"{pictures.name}-{outcome.step.id}", describe=outcome.says, width=WIDTH
    )
    # alone in a file, on whatever ground a page has: black ink on white
    (pictures / name).write_text(drawn.replace("<svg ", '<svg style="background:#fff;color:#000" ', 1), "utf-8")
    return name


def _findings(outcome: Outcome) -> Iterator[str]:
    found = sorted((f for f in outcome.findings if f.status in SHOWN), key=lambda f: SHOWN.index(f.status))
    if not found:
        return
    long = len(found) > OPEN
    if long:
        counts = {status: sum(f.status == status for f in found) for status in SHOWN}
        told = ", ".join(f"{FINDINGS[status]}: {n}" for status, n in counts.items() if n)
        yield f"<details><summary>{len(found)} findings ({told})</summary>\n"
    yield "| check | | what it says | estimate |\n| --- | --- | --- | --- |"
    for f in found:
        check = f"`{f.check}`" + (f": {f.subject}" if f.subject else "")
        yield f"| {check} | {FINDINGS[f.status]} | {f.says.replace('|', chr(92) + '|')} | {interval(f)} |"
    yield "\n</details>\n" if long else ""


def _untested(report: Report, name: str, pictures: Path) -> Iterator[str]:
    yield "## What this audit did not ask\n"
    yield from (f"* {o.what[:1].upper()}{o.what[1:]}. {o.why}" for o in report.plan.outside)
    met = sum(f.status == "meets" for f in report.controls.findings)
    yield f"\nDo the tests work? {met} of {len(report.controls.findings)} planted controls came out as they had to."


def _processor() -> str:
    """The processor as the system names it; nothing else of the machine."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return " ".join(named.split()[:2]) or platform.machine()
