"""Two models, two tables of predictions or two reports compared: what became worse, for a build to fail on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labkit.cli.bias import listed
from labkit.cli.examples import data_options
from labkit.cli.naming import data_named, model_named
from labkit.core.refused import Refused
from labkit.core.words import number, p_value, spoken

if TYPE_CHECKING:
    from labkit.records.compare_models import ModelComparison
    from labkit.records.finding import Finding
    from labkit.records.predict import Predictions
    from labkit.report.diff import Diff, Moved

DONE, NOT_MET = 0, 1
TABLES = (".csv", ".tsv", ".parquet", ".gz")


@click.command()
@click.argument("a")
@click.argument("b")
@data_options
@click.option("--y", help="The column of true labels, of two tables.")
@click.option("--pred", help="The column of predicted labels.")
@click.option("--score", help="The column with the probability of the positive answer.")
@click.option("--threshold", type=float, help="The score from which an answer is positive.")
@click.option("--by", multiple=True, callback=listed, help="Columns of groups: sex,race; repeatable.")
@click.option("--positive", help="The positive class; needed for some metrics unless the classes are 0 and 1.")
@click.option("--metric", "metrics", multiple=True, callback=listed, help="Metrics: accuracy,auc; repeatable.")
@click.option("--margin", default=0.0, show_default=True, help="A difference that would not matter.")
@click.option("--alarm", default=0.01, show_default=True, help="How often like sides may be called worse.")
@click.option("--rows", type=int, help="Of two models, at most so many test examples.")
@click.option("--seed", default=0, show_default=True, help="Of every random draw.")
@click.option("--out", help="A folder for the comparisons' records and tables.")
@click.option("--fail-on", type=click.Choice(["worse"]), help="Exit with 1 when anything became worse.")
def diff(
    a: str,
    b: str,
    data: str | None,
    target: str | None,
    groups: tuple[str, ...],
    y: str | None,
    pred: str | None,
    score: str | None,
    threshold: float | None,
    by: tuple[str, ...],
    positive: str | None,
    metrics: tuple[str, ...],
    margin: float,
    alarm: float,
    rows: int | None,
    seed: int,
    out: str | None,
    fail_on: str | None,
) -> int:
    """What became worse from A to B, on the same people.

    A and B are two tables of predictions (with --y and --pred or --score), two models (with --data, unless they bring
    it), or the folders of two reports. Of sides that are as good as each other at most 1 in 100 pairs are called worse
    (--alarm), over all metrics and groups at once.
    """
    from labkit.report import diff as compared

    settings: dict[str, Any] = {"metrics": list(metrics) or None, "positive": positive, "margin": margin}
    settings |= {"alarm": alarm, "seed": seed, "by": list(by) or None}
    if any(Path(side).is_dir() for side in (a, b)):
        found = compared.reports(a, b, **settings)
    elif any(side.lower().endswith(TABLES) for side in (a, b)):
        columns: dict[str, Any] = {"y": y, "label": pred, "score": score, "threshold": threshold, "groups": by}
        found = compared.diff({"": tuple(_table(side, columns) for side in (a, b))}, **settings)  # type: ignore[dict-item]
    else:
        found = compared.diff(
            {"": _answers((a, b), data, target, (*groups, *by) if target else groups, rows)}, **settings
        )
    for name, comparison in found.comparisons.items():
        _tell(name, comparison)
    _tell_moved(found)
    for why in found.left_out:
        click.echo(f"  ! {why}")
    if out:
        _keep(found, Path(out))
    return NOT_MET if fail_on and found.worse else DONE


def _table(side: str, columns: dict[str, Any]) -> Predictions:
    import labkit as lk

    path = Path(side)
    if columns["label"] is None and columns["score"] is None:
        raise Refused(
            f"the predictions {path.name}", "neither labels nor scores", "--pred, or --score with --threshold"
        )
    return lk.data.read_predictions(path, **columns)


def _answers(
    sides: Sequence[str], data: str | None, target: str | None, groups: tuple[str, ...], rows: int | None
) -> tuple[Predictions, Predictions]:
    """What both models answer on the test part of their data."""
    from labkit.report.subject import subjects

    if rows is not None and rows < 1:
        raise Refused(f"--rows {rows}", str(rows), "at least one row")
    known = data_named(data, target, groups)
    first, other = (s for side in sides for s in subjects(model_named(side, known), known))
    return first.predictions("test", rows or 0), other.predictions("test", rows or 0)


def _tell(name: str, found: ModelComparison) -> None:
    from labkit.records.compare_models import BETTER, HIGHER, LOWER, NOT_SHOWN, UNKNOWN, WITHIN, WORSE

    click.echo(f"\n{f'{name}: ' if name else ''}{found.b} against {found.a}, the same {found.n[0]} people")
    cells = list(product(*map(range, found.difference.shape)))
    for verdict in (WORSE, BETTER, HIGHER, LOWER, WITHIN, NOT_SHOWN, UNKNOWN):
        those = [(m, g) for m, g in cells if found.verdict(m, g) == verdict]
        if those:
            click.echo(f"\n{verdict}{f' {found.margin:g}' if verdict == WITHIN else ''}")
        for m, g in those:
            click.echo(_line(found, m, g))
    from labkit.core.intervals import clopper_pearson

    low, high = clopper_pearson(found.alarms, found.pairs)
    click.echo(
        f"\nOf {found.pairs} pairs made by exchanging answers, none better than the other, {found.alarms} "
        f"({low:.1%} to {high:.1%}) would be called worse somewhere; at most {found.alarm:.2%} are allowed for."
    )
    for warning in found.warnings:
        click.echo(f"  ! {warning}")


def _line(found: ModelComparison, m: int, g: int) -> str:
    what = spoken(found.metrics[m]) + (f" of {found.feature[g]} {found.group[g]}" if g else "")
    a, b = (float(v[m, g]) for v in (found.value_a, found.value_b))
    size, low, high = (float(v[m, g]) for v in (found.difference, found.low, found.high))
    return f"  {what:<40.40} {a:6.3f} to {b:6.3f}, by {number(size, low, high, 3)}, n = {found.n[g]}, {p_value(float(found.p[m, g]))}"


def _tell_moved(found: Diff) -> None:
    if not found.looked:
        return
    click.echo(f"\n{found.looked} findings of both reports; those that changed:")
    for moved in found.moved:
        click.echo(_moved_line(moved))
    if not found.moved:
        click.echo("  none")


def _moved_line(moved: Moved) -> str:
    def told(found: Finding) -> str:
        if found.estimate is None:
            return found.status
        known = found.low is not None and found.high is not None
        low, high = (found.low, found.high) if known else (math.nan, math.nan)
        return f"{found.status} at {number(found.estimate, low, high, 3)}"  # type: ignore[arg-type]

    sides = (told(f) for f in (moved.before, moved.after))
    sure = "" if math.isnan(moved.p) else f", {p_value(moved.p)}"
    return f"  {moved.verdict}: {moved.id}: {' to '.join(sides)}{sure}"


def _keep(found: Diff, out: Path) -> None:
    """The record of each comparison, and its table."""
    import labkit as lk
    from labkit.core.store import write_atomic
    from labkit.report.evidence import slug, table

    for name, record in found.comparisons.items():
        stem = out / (slug(name) if name else record.kind)
        lk.save(record, stem.with_suffix(".lk"))
        write_atomic(stem.with_suffix(".csv"), table(lk.rows(record)))
    click.echo(f"in {out}")
