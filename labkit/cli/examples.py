"""Commands that ask a model about a few examples: explain, recommend, attack."""

from __future__ import annotations

from typing import Any

import click

from labkit.cli.naming import method_options, model_and_data
from labkit.cli.terminal import show, writable

ROWS = click.option("--rows", default=8, show_default=True, help="How many test examples.")
OUT = click.option("--out", help="A folder for the record, its table and its picture.")
OPTIONS = click.option("-o", "options", multiple=True, metavar="NAME=VALUE", help="An option of the method.")
SEED = click.option("--seed", default=0, show_default=True, help="Of every random draw.")
CLASS = click.option("--class", "label", help="The class to explain, by name or number; by default the predicted one.")


def data_options(command: Any) -> Any:
    """How a command is told which data to use."""
    for option in (
        click.option("--group", "groups", multiple=True, help="A sensitive column of your own table; repeatable."),
        click.option("--target", help="The column to predict, of your own table."),
        click.option("--data", "data", help="A data set by name, or a file or folder of your own."),
    ):
        command = option(command)
    return command


def _class(text: str | None) -> int | str | None:
    """A class as it was named, or its number."""
    return int(text) if text is not None and text.lstrip("-").isdigit() else text


@click.command()
@click.argument("model")
@click.argument("method", default="integrated_gradients")
@data_options
@ROWS
@CLASS
@click.option("--against", help='Another class, whose score is taken off; or "rest" for the largest of the others.')
@OUT
@OPTIONS
@SEED
def explain(
    model: str,
    method: str,
    data: str | None,
    target: str | None,
    groups: tuple[str, ...],
    rows: int,
    label: str | None,
    against: str | None,
    out: str | None,
    options: tuple[str, ...],
    seed: int,
) -> int:
    """What each input contributes to an answer, by METHOD, and whether that can be believed."""
    import labkit as lk

    classifier, found = model_and_data(model, data, target, groups, rows)
    tuned = method_options("attributions", method, options)
    writable(out)
    asked: dict[str, Any] = {"target": _class(label), "against": _class(against), "background": found.background()}
    return show(lk.explain(classifier, found.test, method, seed=seed, **asked, **tuned), out)


@click.command()
@click.argument("model")
@data_options
@click.option("--rows", default=16, show_default=True, help="How many test examples.")
@CLASS
@click.option("--budget", default=60.0, show_default=True, help="Seconds that all methods and their tests may take.")
@OUT
@SEED
def recommend(
    model: str,
    data: str | None,
    target: str | None,
    groups: tuple[str, ...],
    rows: int,
    label: str | None,
    budget: float,
    out: str | None,
    seed: int,
) -> int:
    """Which attribution is most faithful for this model and these examples, and how sure that is."""
    import labkit as lk

    classifier, found = model_and_data(model, data, target, groups, rows)
    writable(out)
    made = lk.recommend(classifier, found.test, _class(label), seed=seed, budget=budget, background=found.background())
    return show(made, out)


@click.command()
@click.argument("model")
@click.argument("method", default="pgd")
@data_options
@click.option("--rows", default=64, show_default=True, help="How many test examples.")
@click.option("--eps", type=float, help="The budget, in the data's units.")
@click.option("--norm", help="linf, l2, l1, l0, noise_to_signal, edits or cost; by default what fits the data.")
@OUT
@OPTIONS
@SEED
def attack(
    model: str,
    method: str,
    data: str | None,
    target: str | None,
    groups: tuple[str, ...],
    rows: int,
    eps: float | None,
    norm: str | None,
    out: str | None,
    options: tuple[str, ...],
    seed: int,
) -> int:
    """Change inputs within a budget so that the answer turns, by METHOD."""
    import labkit as lk

    classifier, found = model_and_data(model, data, target, groups, rows)
    tuned = method_options("attacks", method, options)
    writable(out)
    asked: dict[str, Any] = {"eps": eps, "norm": norm, "background": found.background(500)}
    return show(lk.attack(classifier, found.test, method, seed=seed, **asked, **tuned), out)
