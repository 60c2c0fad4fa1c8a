"""Whether a model knows or remembers: the plan "generalize" on models with their training and test data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labkit.cli.examples import data_options
from labkit.cli.naming import data_named, model_named
from labkit.cli.terminal import STATUSES, Lines, summary, tell_answers
from labkit.core.refused import Refused

if TYPE_CHECKING:
    from labkit.data.split import Dataset

DONE, NOT_MET = 0, 1


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@data_options
@click.option("--test", help="A second table that holds the test rows; --data then holds the training rows.")
@click.option("--no-training", is_flag=True, help="--data holds test rows alone: the training data are not known.")
@click.option("--learner", help="What shadow models are: network, or own, the model's architecture trained anew.")
@click.option("--show", type=int, help="How many of the examples that are named may be shown, with their inputs.")
@click.option(
    "--plan", default="generalize", show_default=True, help="A .toml file, or the name of one of labkit's own."
)
@click.option("--rows", type=int, help="At most so many examples of each part, in every step.")
@click.option("--out", help="A folder for a whole report.")
@click.option("--fail-on", type=click.Choice(STATUSES), multiple=True, help="Exit with 1 when a finding is this.")
def generalize(
    models: tuple[str, ...],
    data: str | None,
    target: str | None,
    groups: tuple[str, ...],
    test: str | None,
    no_training: bool,
    learner: str | None,
    show: int | None,
    plan: str,
    rows: int | None,
    out: str | None,
    fail_on: tuple[str, ...],
) -> int:
    """Does MODEL know, or does it remember? Its gap, its training data, its memory, its probabilities.

    Reference models bring their data. With several models the questions are asked of each.
    """
    import labkit as lk
    from labkit.report import plan as plans

    found = _data(data, target, groups, test, no_training)
    opened = [model_named(m, found) for m in models]
    asked: dict[str, Any] = {"learner": learner, "show": show}
    chosen = plans.load(plan, rows=rows, options={k: v for k, v in asked.items() if v is not None})
    with Lines().watching() as lines:
        report = lk.audit(opened, found, chosen, out, listen=lines)
    for subject in report.subjects:
        if len(report.subjects) > 1:
            click.echo(f"\n{subject['name']}")
        tell_answers(report.of(str(subject["name"])))
    if out:
        summary(report, Path(out))
    return NOT_MET if any(f.status in fail_on for f in report.findings) else DONE


def _data(
    data: str | None, target: str | None, groups: tuple[str, ...], test: str | None, no_training: bool
) -> Dataset | str | None:
    """Training and test data: a name, one file, two, or a file of test rows alone."""
    import labkit as lk

    if test is None and not no_training:
        return data_named(data, target, groups)
    asked = "--test" if test is not None else "--no-training"
    if data is None or (test is not None and no_training):
        given = "no --data" if data is None else "--no-training as well"
        raise Refused(asked, given, "--data TRAIN --test TEST, or --data TEST --no-training")
    return lk.data.open(data, target=target, groups=groups, test=Path(test) if test is not None else 1.0)
