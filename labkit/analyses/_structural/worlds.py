"""People as they are and as they would be had the attribute been the other one, and what a model answers them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from labkit.analyses._structural.equations import Equation, Kind, Table, abducted, fit, moved
from labkit.analyses._structural.graph import Graph
from labkit.core import resampling
from labkit.data.schema import Schema

DIRECT = ""  # the path on which the model itself reads the attribute; no column has such a name


@dataclass(eq=False)
class Worlds:
    """People as they are and as they would be, and what the model answers either.

    Attributes:
        known, asked: rows that equations are fitted to, and those that are asked about.
        own: the attribute's column, -1 where the model has none, and what it holds for each of the two groups.
        answers: classes and the positive class's probability of rows.
        draws: of the noise that belongs to categories.
    """

    graph: Graph
    known: Table
    asked: Table
    schema: Schema
    own: tuple[int, tuple[float, float]]
    answers: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    kind: Kind
    seed: int
    draws: int

    def fitted(self, graph: Graph, only: tuple[str, ...], known: Table) -> dict[str, Equation]:
        return fit(graph, only, known, self.schema, self.kind, self.seed)

    def changes(
        self, equations: dict[str, Equation], switches: list[frozenset[str]], asked: Table
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """(switches, 3, n) for each person the chance that the answer differs and the mean change of the probability, and
        the chance of a change to the positive class less that away from it; and how often numbers left their range.

        One draw will do where nothing is left open, as of numbers with a mean. The noise is the same for all switches, and for every call."""
        stream, (column, codes) = resampling.stream(self.seed, "counterfactual noise"), self.own
        label, proba = self.answers(asked.x)
        found, beyond = np.zeros((len(switches), 3, len(asked.x))), {n: np.zeros(len(asked.x)) for n in equations}
        count = self.draws if any(e.size for e in equations.values()) else 1
        for _ in range(count):
            noise = {name: abducted(e, asked, stream) for name, e in equations.items()}
            for k, switched in enumerate(switches):
                x, out = moved(equations, noise, asked, switched, self.schema)
                if DIRECT in switched and column >= 0:
                    x[:, column] = np.where(asked.a == 1, codes[0], codes[1])
                new_label, new_proba = self.answers(x)
                differs = new_label != label
                found[k] += np.stack([differs, new_proba - proba, differs * np.sign(new_proba - proba)])
                if k == 0:
                    for name, rows in out.items():
                        beyond[name] += rows
        return found / count, {n: b / count for n, b in beyond.items()}
