"""The command line. Heavy libraries are imported by the command that needs them, so that ``--help`` answers at once.

Exit codes: 0 done; 1 a criterion is not met, with ``--fail-on``, or a report is not intact; 2 refused input;
3 interrupted, and the same command goes on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from labkit.cli.bias import bias
from labkit.cli.diff import diff
from labkit.cli.examples import attack, data_options, explain, recommend
from labkit.cli.generalize import generalize
from labkit.cli.naming import data_named, model_and_data, model_named
from labkit.cli.terminal import STATUSES, Lines, summary, tell_harms, tell_layers
from labkit.core.refused import Refused, unknown

DONE, NOT_MET, REFUSED, INTERRUPTED = 0, 1, 2, 3


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="labkit")
def cli() -> None:
    """Explain, attack and audit deep-learning models, with numbers that can be believed.

    MODEL is the name of a reference model (labkit list models), a .safetensors file written by labkit.models.save, or
    FILE.py:NAME: a model, a torch module or a function that gives one, in a Python file of your own, which is run.
    """


@cli.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@data_options
@click.option("--plan", default="default", show_default=True, help="A .toml file, or the name of one of labkit's own.")
@click.option("--out", default="build/report", show_default=True, help="The report's folder.")
@click.option("--rows", type=int, help="At most so many examples in every step.")
@click.option("--fail-on", type=click.Choice(STATUSES), multiple=True, help="Exit with 1 when a finding is this.")
def audit(
    models: tuple[str, ...],
    data: str | None,
    target: str | None,
    groups: tuple[str, ...],
    plan: str,
    out: str,
    rows: int | None,
    fail_on: tuple[str, ...],
) -> int:
    """Run a plan on models and write a report. Without MODEL, audit fashion_cnn, adult_mlp and movies_gru.

    Interrupted, the same command goes on where it stopped.
    """
    import labkit as lk

    found = data_named(data, target, groups)
    opened = [model_named(m, found) for m in models] or None
    with Lines().watching() as lines:
        report = lk.audit(opened, found, plan, out, rows=rows, listen=lines)
    summary(report, Path(out))
    return NOT_MET if any(f.status in fail_on for f in report.findings) else DONE


@cli.command()
@click.argument("recipe")
@click.option("--seeds", default=1, show_default=True, help="How many runs; the best on validation data is kept.")
@click.option("--budget", default=1.0, show_default=True, help="The share of the recipe's epochs to run.")
@click.option("--device", default="auto", show_default=True)
@click.option("--out", default="build/zoo", show_default=True, help="Where weights, card and curves go.")
def train(recipe: str, seeds: int, budget: float, device: str, out: str) -> int:
    """Train a reference model by its RECIPE (labkit list recipes). Interrupted, the same command goes on."""
    import labkit as lk
    from labkit.training.shipping import train as run

    click.echo(lk.says(run(recipe, device=device, seeds=seeds, out=out, budget=budget)))
    click.echo(f"in {out}")
    return DONE


for command in (explain, recommend, attack, bias, generalize, diff):
    cli.add_command(command)


@cli.command("list")
@click.argument("kind", required=False)
@click.option("--model", help="The model whose layers are listed, with: list layers.")
@click.option("--data", help="The data that this model takes, where the model does not say it.")
def list_(kind: str | None, model: str | None, data: str | None) -> int:
    """What there is: every kind, or the names of one KIND (attacks, attributions, models, recipes ...).

    "list harms" asks what may go wrong for people, and says which metrics answer it. "list layers --model NAME" gives a
    model's layers: name, kind, shape of the output, and whether a map of the layer can be laid over the input.
    """
    from labkit.core import registry

    if kind == "layers":
        if model is None:
            raise Refused("the layers of a model", "no model", "labkit list layers --model NAME")
        classifier, found = model_and_data(model, data, None, (), 1)
        tell_layers(classifier.layers(classifier.tensor(found.test.x)))
        return DONE
    if model or data:
        raise Refused("--model or --data", f"the kind {kind}", "labkit list layers --model NAME")
    known = {**{k: registry.names for k in registry.FOLDERS}, "harms": _harms, "models": _models, "plans": _plans}
    if kind is None:
        for name in sorted(known):
            click.echo(f"{name + ':':<16}{', '.join(known[name](name))}")
        return DONE
    if kind not in known:
        raise unknown("names of a kind", kind, known)
    for name in tell_harms() if kind == "harms" else known[kind](kind):
        click.echo(name)
    return DONE


@cli.command()
@click.argument("folder")
def verify(folder: str) -> int:
    """Recompute every digest of the report in FOLDER; exit with 1 when something was changed."""
    import labkit as lk

    found = lk.verify(folder)
    click.echo(str(found))
    return DONE if found.intact else NOT_MET


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lab(arguments: tuple[str, ...]) -> int:
    """Open JupyterLab on this machine at the first notebook. Further ARGUMENTS go to JupyterLab."""
    from labkit.cli.jupyter import start

    return start(arguments)


def run(arguments: Sequence[str]) -> int:
    """The command line as a function: says what went wrong on stderr, and returns the exit code."""
    try:
        code = cli.main(list(arguments), prog_name="labkit", standalone_mode=False)
        return code if isinstance(code, int) else DONE
    except Refused as refused:
        click.echo(str(refused), err=True)
        return REFUSED
    except click.Abort:
        click.echo("\ninterrupted; the same command goes on where this stopped", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return REFUSED


def main() -> None:
    """The console script."""
    import signal

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if sys.argv[1:2] not in (["train"], ["lab"]):
        # One thread unless told otherwise: evidence must not depend on how many cores a machine has, and threads that
        # wait for each other on a busy machine take many times longer than one alone.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(run(sys.argv[1:]))


def _models(kind: str) -> tuple[str, ...]:
    import labkit as lk

    return tuple(lk.zoo.names())


def _harms(kind: str) -> tuple[str, ...]:
    from labkit.core.harms import HARMS

    return tuple(h.name for h in HARMS)


def _plans(kind: str) -> tuple[str, ...]:
    from labkit.report.plan import names

    return names()
