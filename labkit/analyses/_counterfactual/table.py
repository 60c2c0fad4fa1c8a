"""Ways to change a row of a table: which values a column may take, what a change costs, and how far rows are apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from labkit.analyses._counterfactual.search import Moves, Question
from labkit.core.draws import Draws
from labkit.data.constraints import NO_AIM, Constraints, violations
from labkit.data.schema import Feature, Schema

Scale = Literal["quantile", "mad"]
COSTS = {
    "quantile": "numbers by the share of training rows that they pass, a changed category 1",
    "mad": "numbers in median absolute deviations of training rows, a changed category 1",
}
# Whole numbers with at most so many values are all looked at; of other numbers so many that training rows have.
ALL, GRID = 64, 32
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
    def units(self) -> tuple[tuple[int, ...], ...]:
        """Columns that change together: one, or all of a one-hot group."""
        names = [f.name for f in self.schema.features]
        together = [tuple(names.index(n) for n in columns) for columns in self.agreed.together or ()]
        inside = {c for columns in together for c in columns}
        return tuple(sorted([*((c,) for c in range(len(names)) if c not in inside), *together]))

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(" | ".join(self.schema.features[c].name for c in unit) for unit in self.units)

    @cached_property
    def numeric(self) -> np.ndarray:
        """(units,) whether a unit is one number."""
        return np.array([len(u) == 1 and self.schema.features[u[0]].kind == "numeric" for u in self.units])

    @cached_property
    def choices(self) -> list[tuple[np.ndarray, bool]]:
        """For each unit the values that it may take (alternatives, columns), and whether these are all."""
        return [self._choices(unit) for unit in self.units]

    def _choices(self, unit: tuple[int, ...]) -> tuple[np.ndarray, bool]:
        features = [self.schema.features[c] for c in unit]
        if {f.name for f in features} & set(self.agreed.immutable):
            return np.zeros((0, len(unit)), self.x.dtype), True
        if len(unit) > 1:
            return np.eye(len(unit), dtype=self.x.dtype), True
        if features[0].kind == "categorical":
            codes = [i for i, name in enumerate(features[0].categories) if name not in NO_AIM]
            return np.array(codes, self.x.dtype)[:, None], True
        values, every = self._numbers(features[0], self.background[:, unit[0]])
        return values[:, None].astype(self.x.dtype), every

    def _numbers(self, feature: Feature, column: np.ndarray) -> tuple[np.ndarray, bool]:
        """Values of a number that training rows have, from end to end; of few whole numbers all."""
        low, high = self.agreed.limits[feature.name]
        whole = feature.name in (self.agreed.whole or ())
        if whole and np.floor(high) - np.ceil(low) < ALL:
            return np.arange(np.ceil(low), np.floor(high) + 1), True
        inside = column[(column >= low) & (column <= high)]
        seen = np.unique(np.concatenate([inside, np.array([low, high], column.dtype)]))
        if whole:
            seen = seen[seen == np.round(seen)]
        if len(seen) <= GRID:
            return seen, False
        shares = np.linspace(0, 1, GRID // 2)
        by_value, by_row = (np.quantile(v, shares, method="nearest") for v in (seen, inside))
        return np.unique(np.concatenate([by_value, by_row])), False

    def moves(self) -> Moves:
        n, units = len(self.x), len(self.units)
        many = max(1, *(len(values) for values, _ in self.choices))
        cost, allowed = np.zeros((n, units, many)), np.zeros((n, units, many), bool)
        for u, (unit, (values, _)) in enumerate(zip(self.units, self.choices)):
            own, k = self.x[:, unit], len(values)
            allowed[:, u, :k] = (own[:, None] != values).any(2)
            cost[:, u, :k] = 1.0
            for c, old, new in zip(unit, own.T[:, :, None], values.T):
                allowed[:, u, :k] &= self._may(self.schema.features[c], old, new)
            if self.numeric[u]:
                cost[:, u, :k] = np.abs(self.scaled(values[:, 0], unit[0]) - self.scaled(own, unit[0]))
        complete = np.full(n, all(every for _, every in self.choices))
        return Moves(cost, allowed, self.realise, np.full(n, units), complete)

    def _may(self, feature: Feature, old: np.ndarray, new: np.ndarray) -> np.ndarray:
        """(n, alternatives) whether a column's (n, 1) values may become each of the alternatives."""
        if feature.kind == "categorical":
            return np.array(True)
        low, high = self.agreed.limits[feature.name]
        slack = 1e-6 * (high - low)  # limits are not rounded to the table's float32
        good = (old == new) | (low - slack <= new) & (new <= high + slack)
        good &= (new >= old) | (feature.name not in self.agreed.rising)
        return good & ((new <= old) | (feature.name not in self.agreed.falling))

    def realise(self, rows: np.ndarray, state: np.ndarray) -> np.ndarray:
        made = self.x[rows]
        for u, (unit, (values, _)) in enumerate(zip(self.units, self.choices)):
            changed = np.flatnonzero(state[:, u])
            if len(changed):
                made[changed[:, None], list(unit)] = values[state[changed, u] - 1]
        return made

    def scaled(self, values: np.ndarray, column: int) -> np.ndarray:
        """Numbers in the unit of their cost: shares of training rows that are less (ties by half), or median absolute deviations."""
        if self.scale == "quantile":
            return self.share_below(values, column)
        return values.astype(np.float64) / self._spread[column]

    def share_below(self, values: np.ndarray, column: int) -> np.ndarray:
        """The share of training rows that are less, ties by half."""
        seen = self._sorted[:, column]
        return (np.searchsorted(seen, values, "left") + np.searchsorted(seen, values, "right")) / (2 * len(seen))

    @cached_property
    def _sorted(self) -> np.ndarray:
        return np.sort(self.background, axis=0)

    @cached_property
    def _spread(self) -> np.ndarray:
        """(columns,) median absolute deviations; where most rows are equal, 1.2533 mean ones (both are a normal's sd)."""
        from_median = np.abs(self.background - np.median(self.background, axis=0)).astype(np.float64)
        median, mean = 1.4826 * np.median(from_median, axis=0), 1.2533 * from_median.mean(0)
        return np.where(median > 0, median, np.where(mean > 0, mean, 1.0))

    def differs(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """(m, units) which units differ."""
        return np.stack([(before[:, unit] != after[:, unit]).any(1) for unit in self.units], 1)

    def price(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """(m,) what the changes cost, without the price of each changed unit."""
        parts = self.differs(before, after).astype(np.float64)
        for u in np.flatnonzero(self.numeric):
            c = self.units[u][0]
            parts[:, u] = np.abs(self.scaled(after[:, c], c) - self.scaled(before[:, c], c))
        return parts.sum(1)

    def finish(
        self, ask: Question, rows: np.ndarray, state: np.ndarray, lead: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The changed rows, which units differ, and the cost: each changed number as near to what it was as still gives
        the target, by halving, one column after another."""
        made = self.realise(rows, state)
        for u in np.flatnonzero(self.numeric):
            if not self.choices[u][1]:
                self._approach(ask, rows, made, self.units[u][0], lead)
        return made, self.differs(self.x[rows], made), self.price(self.x[rows], made)

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
                a, b = (self.scaled(rows[:, unit[0]], unit[0]) for rows in (some, others))
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
            found[:, u] = self.share_below(rows[:, self.units[u][0]], self.units[u][0])
        return found
