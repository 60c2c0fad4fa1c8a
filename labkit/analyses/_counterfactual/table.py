"""Ways to change a row of a table: which values a column may take, what a change costs, and how far rows are apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from labkit.analyses._counterfactual.search import Moves, Question
from labkit.core.draws import Draws
from labkit.data.alternatives import alternatives, options
from labkit.data.constraints import Constraints, violations
from labkit.data.price import COSTS, Prices, Scale
from labkit.data.schema import Schema

HALVINGS = 12


@dataclass(eq=False)
class Table:
    """Rows of a table that are to be changed.

    Attributes:
        x: (n, columns). background: (m, columns) training rows. agreed: from ``constraints``.
        noise: the spread of small noise, as a share of a column's standard deviation.
    """

    x: np.ndarray
    background: np.ndarray
    schema: Schema
    agreed: Constraints
    scale: Scale
    noise: float
    noun: str = "columns"

    @property
    def noise_of(self) -> str:
        return f"normal noise of {self.noise:g} of each number's standard deviation"

    @property
    def cost_of(self) -> str:
        return COSTS[self.scale]

    @cached_property
    def prices(self) -> Prices:
        return Prices(self.schema, self.agreed, self.background, self.scale)

    @property
    def units(self) -> tuple[tuple[int, ...], ...]:
        """Columns that change together: one, or all of a one-hot group."""
        return self.prices.units

    @property
    def numeric(self) -> np.ndarray:
        """(units,) whether a unit is one number."""
        return self.prices.numeric

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(" | ".join(self.schema.features[c].name for c in unit) for unit in self.units)

    @cached_property
    def choices(self) -> list[tuple[np.ndarray, bool]]:
        """For each unit the values that it may take (alternatives, columns), and whether these are all."""
        return [alternatives(self.prices, unit, self.x.dtype) for unit in self.units]

    def moves(self) -> Moves:
        n, units = len(self.x), len(self.units)
        many = max(1, *(len(values) for values, _ in self.choices))
        cost, allowed = np.zeros((n, units, many)), np.zeros((n, units, many), bool)
        for u, (unit, (values, _)) in enumerate(zip(self.units, self.choices)):
            k = len(values)
            cost[:, u, :k], allowed[:, u, :k] = options(self.prices, self.x, unit, values)
        complete = np.full(n, all(every for _, every in self.choices))
        return Moves(cost, allowed, self.realise, np.full(n, units), complete)

    def realise(self, rows: np.ndarray, state: np.ndarray) -> np.ndarray:
        made = self.x[rows]
        for u, (unit, (values, _)) in enumerate(zip(self.units, self.choices)):
            changed = np.flatnonzero(state[:, u])
            if len(changed):
                made[changed[:, None], list(unit)] = values[state[changed, u] - 1]
        return made

    def finish(
        self, ask: Question, rows: np.ndarray, state: np.ndarray, lead: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The changed rows, which units differ, and the cost: each changed number as near to what it was as still gives
        the target, by halving, one column after another."""
        made = self.realise(rows, state)
        for u in np.flatnonzero(self.numeric):
            if not self.choices[u][1]:
                self._approach(ask, rows, made, self.units[u][0], lead)
        return made, self.prices.differs(self.x[rows], made), self.prices.price(self.x[rows], made)

    def _approach(self, ask: Question, rows: np.ndarray, made: np.ndarray, column: int, lead: float) -> None:
        name = self.schema.features[column].name
        own = self.x[rows, column]
        on = np.flatnonzero(made[:, column] != own)
        near, far = np.clip(own[on], *self.agreed.limits[name]), made[on, column].copy()
        outward = far > near  # whole numbers are rounded towards what is known to do
        whole = name in (self.agreed.whole or ())
        for _ in range(HALVINGS):
            middle = (near + far) / 2
            if whole:
                middle = np.where(outward, np.ceil(middle), np.floor(middle))
            tried = made[on]
            tried[:, column] = middle
            good = ask(rows[on], tried.__getitem__)[:, 0] >= lead
            near, far = np.where(good, near, middle), np.where(good, middle, far)
        made[on, column] = far

    def breaches(self, before: np.ndarray, after: np.ndarray) -> list[str]:
        return violations(before, after, self.schema, self.agreed)

    def jitter(self, made: np.ndarray, draws: Draws) -> np.ndarray:
        """The same rows with small noise on every number, within the limits where the row is."""
        columns = [self.units[u][0] for u in np.flatnonzero(self.numeric)]
        sd = self.background[:, columns].astype(np.float64).std(0)
        noisy = made.copy()
        noisy[:, columns] += (self.noise * sd * draws.normal(len(columns))).astype(made.dtype)
        low, high = np.array([self.agreed.limits[self.schema.features[c].name] for c in columns]).reshape(-1, 2).T
        inside = noisy[:, columns].clip(np.minimum(low, made[:, columns]), np.maximum(high, made[:, columns]))
        noisy[:, columns] = inside
        return noisy

    def apart(self, some: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(m, k) mean over units: numbers by their scaled difference, anything else by whether it differs."""
        total = np.zeros((len(some), len(others)))
        for u, unit in enumerate(self.units):
            if self.numeric[u]:
                a, b = (self.prices.scaled(rows[:, unit[0]], unit[0]) for rows in (some, others))
                total += np.abs(a[:, None] - b[None])
            else:
                total += (some[:, None, unit] != others[None][:, :, unit]).any(2)
        return total / len(self.units)

    def shown(self, row: np.ndarray) -> tuple[str, ...]:
        """What each unit is, as a person reads it: of one-hot columns the name of the one that is 1."""
        text = self.schema.show(row.tolist())
        return tuple(
            text[unit[0]] if len(unit) == 1 else self.schema.features[unit[int(np.argmax(row[list(unit)]))]].name
            for unit in self.units
        )

    def places(self, rows: np.ndarray) -> np.ndarray:
        """(m, units) the share of training rows that are less, ties by half; nan for what has no order."""
        found = np.full((len(rows), len(self.units)), np.nan)
        for u in np.flatnonzero(self.numeric):
            found[:, u] = self.prices.share_below(rows[:, self.units[u][0]], self.units[u][0])
        return found
