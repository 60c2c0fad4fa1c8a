"""A table of predictions, or of scores, audited for what it does to groups of people: no model is needed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labkit.cli.terminal import STATUSES, Lines, summary, tell_answers
from labkit.core.refused import Refused, unknown

if TYPE_CHECKING:
    from labkit.data.split import Split
    from labkit.records.predict import Predictions
    from labkit.records.scores import Scores

DONE, NOT_MET = 0, 1


def listed(context: click.Context, option: click.Parameter, given: Iterable[str]) -> tuple[str, ...]:
    """Columns of a repeatable option, each of which may name several with commas between."""
    return tuple(dict.fromkeys(part.strip() for text in given for part in text.split(",") if part.strip()))


@click.command()
@click.argument("table")
@click.option("--y", help="The column of true labels; without it errors are not measured.")
@click.option("--pred", help="The column of predicted labels.")
@click.option("--score", help="The column with the probability of the positive answer; any number without --threshold.")
@click.option("--threshold", type=float, help="The score from which an answer is positive.")
@click.option("--by", multiple=True, required=True, callback=listed, help="Columns of groups: sex,race; repeatable.")
@click.option("--positive", help="The positive class; needed unless the classes are 0 and 1.")
@click.option("--given", multiple=True, callback=listed, help="Columns that may rightly be taken into account.")
@click.option("--drop", multiple=True, callback=listed, help="Columns that say nothing of people, such as identifiers.")
@click.option(
    "--harm", multiple=True, callback=listed, help="What may go wrong: labkit list harms. Chooses the errors."
)
@click.option("--plan", help="A .toml file, or the name of one of labkit's own, instead of bias.")
@click.option("--out", help="A folder for a whole report.")
@click.option("--fail-on", type=click.Choice(STATUSES), multiple=True, help="Exit with 1 when a finding is this.")
def bias(
    table: str,
    y: str | None,
    pred: str | None,
    score: str | None,
    threshold: float | None,
    by: tuple[str, ...],
    positive: str | None,
    given: tuple[str, ...],
    drop: tuple[str, ...],
    harm: tuple[str, ...],
    plan: str | None,
    out: str | None,
    fail_on: tuple[str, ...],
) -> int:
    """What predictions do to groups of people, from a TABLE of predictions alone: no model is needed.

    Other columns of the table are taken for what is known of the people: which of them stand in for a group, and among
    whom errors are most frequent.
    """
    import labkit as lk
    from labkit.report import plan as plans

    path = _table(table)
    own = plan or ("bias_scores" if pred is None and threshold is None else "bias")
    answers = _answers(path, y, pred, score, threshold, by)
    if isinstance(answers, lk.Predictions) and positive is not None and positive not in answers.classes:
        raise unknown(f"the positive class {positive!r}", positive, answers.classes)
    columns = None if getattr(answers, "count", None) is not None else _columns(path, by, {y, pred, score, *drop})
    options: dict[str, Any] = {"positive": positive, "given": list(given) or None}
    # how often who is selected is asked in any case
    metrics = [m for m in lk.choose_metrics(harm) if m != "selection_rate"] if harm else []
    options |= {"errors.metrics": metrics} if metrics else {}
    chosen = plans.load(own, options={k: v for k, v in options.items() if v is not None})
    with Lines().watching() as lines:
        report = lk.audit(answers, columns, chosen, out, listen=lines)
    tell_answers(report.outcomes)
    if out:
        summary(report, Path(out))
    return NOT_MET if any(f.status in fail_on for f in report.findings) else DONE


def _table(table: str) -> Path:
    from labkit.data.reading import TABLES, source

    path = Path(table)
    if source(path) not in TABLES:
        raise Refused(f"the predictions {path.name}", f"a {source(path)}", "a .csv or .parquet table")
    return path


def _answers(
    path: Path, y: str | None, pred: str | None, score: str | None, threshold: float | None, by: tuple[str, ...]
) -> Predictions | Scores:
    """A row a person; of a large table, how many people have which answer."""
    import labkit as lk
    from labkit.data.reading import read_table

    if pred is None and score is None:
        instead = "--pred, or --score with or without --threshold"
        raise Refused(f"the predictions {path.name}", "neither labels nor scores", instead)
    if pred is None and threshold is None and score is not None:
        return lk.Scores.from_frame(read_table(path)[0], score=score, y=y, groups=by, name=path.name)
    return lk.data.read_predictions(path, y=y, label=pred, score=score, threshold=threshold, groups=by)


def _columns(path: Path, by: tuple[str, ...], answers: set[str | None]) -> Split | None:
    """What else the table says of the people. Columns that cannot be used are named, with the reason."""
    import labkit as lk
    from labkit.data.reading import read_table

    frame, used = read_table(path)[0], []
    for column in frame.columns:
        if column in answers:
            continue
        try:
            lk.data.from_frame(frame[[column]], name=path.name)
            used.append(column)
        except Refused as refused:
            click.echo(f"{column} is left out: {refused.given}", err=True)
    if not set(used) - set(by):
        return None
    known = ", ".join(c for c in used if c not in by)
    click.echo(f"taken for what is known of the people: {known} (--drop what is not)", err=True)
    return lk.data.from_frame(frame[list(dict.fromkeys([*used, *by]))], groups=by, name=path.name)
