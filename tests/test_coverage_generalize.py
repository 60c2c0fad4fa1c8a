"""Some cells of docs/simulations.md on what a model knows and remembers, drawn anew; and its gate."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from benchmarks import _coverage_compared as compared
from benchmarks import _coverage_data as data
from benchmarks import _coverage_generalize as generalize

CHEAP = {
    "membership": generalize.members(1000, 0.1, 1.0, 1.0),
    "memorisation": generalize.memory(256, 0.9, 0.6),
    "remembered": generalize.remembered(2000, 0.2, 0.2),
    "attribute": generalize.attribute(200, 0.1),
    "recognised": generalize.recognised(32, 0.5),
    "rows that stand there twice": data.copies(2000, 0.05),
    "shares of a class": data.shares(300, 0.3),
    "total variation": data.categories(1000, 0.03),
    "no total variation": data.categories(300, 0.0),
    "standardised difference": data.numbers(300, 0.5, False),
    "trace": data.traces(20, 20),
    "best of ten": compared.best_of(10, 300, np.full(10, 0.75), 0.5),
    "two areas": compared.two(300, "auc"),
}


@pytest.mark.parametrize("name", CHEAP)
def test_the_interval_holds(name: str) -> None:
    case = generalize.Case(name, "", 0, 1, CHEAP[name])
    for cell in generalize.cells([case], 100):
        held = cell.runs - cell.below - cell.above
        if "as if it were the only one" in cell.interval:
            assert cell.covered < 0.93, "an interval that forgets the choice should miss, or nothing is tested"
        else:
            assert binomtest(held, cell.runs, 0.93, alternative="less").pvalue > 0.001, cell


def test_an_interval_that_is_too_narrow_is_seen() -> None:
    case = generalize.Case("narrow", "", 0, 1, lambda g: (g.normal() - 1, float("inf"), 0.0))
    cell = next(generalize.cells([case], 200))
    assert binomtest(cell.runs - cell.above, cell.runs, 0.93, alternative="less").pvalue < 0.001


def test_the_gate_says_worse_of_worse_models_alone() -> None:
    alike = compared._gated("accuracy", 300, 40, 0.3)
    assert binomtest(alike.worse, alike.pairs, 0.01, alternative="greater").pvalue > 0.001
    assert compared._gated("accuracy", 300, 10, 0.3, lost=0.1).worse >= 8
