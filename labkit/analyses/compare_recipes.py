"""What did the other model do differently?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import labkit
from labkit.core.record import Provenance
from labkit.core.refused import Refused
from labkit.records.compare_recipes import RecipeComparison
from labkit.records.train import Training

# Settings that say where a run took place, not what was learned.
LEFT_OUT = {"name", "compile", "low_precision", "together"}


def compare_recipes(first: Training, second: Training) -> RecipeComparison:
    """Two training runs side by side: which settings differ, whether the data were the same, and what became of it.

    Two models that differ in one setting show what that setting did, to these data and by these seeds; two that differ in
    several show what all of them did together, and not which one.

    Args:
        first, second: how each was trained: ``labkit.zoo.curves(name)`` of a reference model, or what ``labkit.training``
            gives.

    Raises:
        Refused: something else than two training runs, or one run twice.
    """
    asked, instead = "compare_recipes", "two training runs, such as labkit.zoo.curves(name) of two models"
    for given in (first, second):
        if not isinstance(given, Training):
            raise Refused(asked, f"a {type(given).__name__}", instead)
    if first.digest == second.digest:
        raise Refused(asked, f"the training of {first.recipe} twice", instead)
    settings = [_flat(run.provenance.options) for run in (first, second)]
    known = [name for name in dict.fromkeys([*settings[0], *settings[1]]) if name not in LEFT_OUT]
    differ = [name for name in known if settings[0].get(name) != settings[1].get(name)]
    data = [_trained_on(run) for run in (first, second)]
    both = [m for m in first.measures if m in second.measures]
    tables = ((name, [[_of(run, m, name) for m in both] for run in (first, second)]) for name in _MEASURED)
    values: dict[str, Any] = {name: np.array(table).reshape(2, len(both)) for name, table in tables}
    return RecipeComparison(
        provenance=Provenance(
            analysis=asked,
            version=labkit.__version__,
            model={"first": first.provenance.model, "second": second.provenance.model},
            data={"first": first.provenance.data, "second": second.provenance.data},
        ),
        models=(first.recipe, second.recipe),
        same_data=data[0]["sha256"] == data[1]["sha256"],
        trained_on=np.array([d["n"] for d in data]),
        settings=tuple(differ),
        first=tuple(settings[0].get(name, "none") for name in differ),
        second=tuple(settings[1].get(name, "none") for name in differ),
        shared=len(known) - len(differ),
        measures=tuple(both),
        **values,
    )


_MEASURED = ("score", "low", "high", "n")


def _of(run: Training, measure: str, name: str) -> float:
    """A number of the shipped run."""
    at, table = run.measures.index(measure), getattr(run, name)
    return float(table[at] if table.ndim == 1 else table[run.chosen, at])


def _trained_on(run: Training) -> Mapping[str, Any]:
    found: Mapping[str, Any] = run.provenance.data.get("trained_on", run.provenance.data["train"])
    return found


def _flat(options: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """Settings by name, those within another as "objective eps", each value in words."""
    found: dict[str, str] = {}
    for name, value in options.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{name} ")
        elif isinstance(value, bool):
            found[before + name] = "yes" if value else "no"
        elif isinstance(value, list | tuple):
            found[before + name] = " ".join(map(str, value))
        else:
            found[before + name] = f"{value:g}" if isinstance(value, int | float) else str(value)
    return found
