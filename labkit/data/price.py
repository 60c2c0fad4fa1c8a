"""What changes in a row of a table cost, and whether a changed row keeps to the rules and to a budget."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from labkit.data.constraints import Constraints, violations
from labkit.data.schema import Schema

Scale = Literal["quantile", "mad"]
COSTS = {
    "quantile": "numbers by the share of training rows that they pass, a changed category 1",
    "mad": "numbers in median absolute deviations of training rows, a changed category 1",
}
# Prices are sums of fractions: a budget may be overrun by so much.
SLACK = 1e-9


@dataclass(frozen=True, eq=False)
class Prices:
    """The price of changes in a table: counterfactuals state it, and attacks under the threat model "cost" keep to it.

    A category, or one-hot columns together, cost 1 when they change. A number costs how far it went: under "quantile" the
    share of training rows that it passes (ties by half, and at least half a row, so that no change is free), under "mad"
    the distance in median absolute deviations.

    Attributes:
        agreed: from ``constraints``, filled in.
        background: (m, columns) training rows.
    """

    schema: Schema
    agreed: Constraints
    background: np.ndarray
    scale: Scale = "quantile"

    @cached_property
    def units(self) -> tuple[tuple[int, ...], ...]:
        """Columns that change together: one, or all of a one-hot group."""
        names = [f.name for f in self.schema.features]
        together = [tuple(names.index(n) for n in columns) for columns in self.agreed.together or ()]
        inside = {c for columns in together for c in columns}
        return tuple(sorted([*((c,) for c in range(len(names)) if c not in inside), *together]))

    @cached_property
    def numeric(self) -> np.ndarray:
        """(units,) whether a unit is one number."""
        return np.array([len(u) == 1 and self.schema.features[u[0]].kind == "numeric" for u in self.units])

    def price(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """(n,) what turning each row into the other costs; 0 where nothing changed, and only there."""
        parts = self.differs(before, after).astype(np.float64)
        for u in np.flatnonzero(self.numeric):
            c = self.units[u][0]
            parts[:, u] = self.moved(before[:, c], after[:, c], c)
        return np.asarray(parts.sum(1))

    def kept(self, before: np.ndarray, after: np.ndarray, eps: float) -> np.ndarray:
        """(n,) whether each changed row keeps to the constraints and costs at most ``eps``.

        Looks at the rows alone and knows nothing of how they were found. A row that has not changed is kept, one with
        values that are not finite is not.
        """
        good = np.isfinite(after).all(1)
        good[good] = self.price(before[good], after[good]) <= eps + SLACK
        for i in np.flatnonzero(good & (before != after).any(1)):
            good[i] = not violations(before[i], after[i], self.schema, self.agreed)
        return np.asarray(good)

    def differs(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """(n, units) which units differ."""
        return np.stack([(before[:, unit] != after[:, unit]).any(1) for unit in self.units], 1)

    def moved(self, old: np.ndarray, new: np.ndarray, column: int) -> np.ndarray:
        """What it costs a number to become another; the shapes broadcast."""
        far = np.abs(self.scaled(new, column) - self.scaled(old, column))
        least = 0.5 / len(self.background) if self.scale == "quantile" else 0.0
        return np.where(old == new, 0.0, np.maximum(far, least))

    def scaled(self, values: np.ndarray, column: int) -> np.ndarray:
        """Numbers in the unit of their price."""
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
