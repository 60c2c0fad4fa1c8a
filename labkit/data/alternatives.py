"""What the values of a row of a table may become under constraints, and every row within a price."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labkit.core.refused import Refused
from labkit.data.constraints import NO_AIM
from labkit.data.price import SLACK, Prices
from labkit.data.schema import Feature

# Whole numbers with at most so many values are all looked at; of other numbers so many that training rows have.
ALL, GRID = 64, 32


def alternatives(prices: Prices, unit: tuple[int, ...], dtype: np.dtype, most: int = ALL) -> tuple[np.ndarray, bool]:
    """The values that a unit may take in any row (alternatives, columns), and whether these are all.

    Args:
        most: whole numbers with more values than this are thinned out to some that training rows have.
    """
    features = [prices.schema.features[c] for c in unit]
    if {f.name for f in features} & set(prices.agreed.immutable):
        return np.zeros((0, len(unit)), dtype), True
    if len(unit) > 1:
        return np.eye(len(unit), dtype=dtype), True
    if features[0].kind == "categorical":
        codes = [i for i, name in enumerate(features[0].categories) if name not in NO_AIM]
        return np.array(codes, dtype)[:, None], True
    low, high = np.ceil(prices.agreed.limits[features[0].name][0]), np.floor(prices.agreed.limits[features[0].name][1])
    if features[0].name in (prices.agreed.whole or ()) and high - low < most:
        return np.arange(low, high + 1).astype(dtype)[:, None], True
    return _thinned(prices, features[0], unit[0])[:, None].astype(dtype), False


def usual(prices: Prices, feature: Feature, column: int) -> tuple[np.ndarray, np.ndarray]:
    """The values within its limits that training rows have in a column, each once and with both limits; and one a row."""
    low, high = prices.agreed.limits[feature.name]
    values = prices.background[:, column]
    inside = values[(values >= low) & (values <= high)]
    seen = np.unique(np.concatenate([inside, np.array([low, high], values.dtype)]))
    return seen[seen == np.round(seen)] if feature.name in (prices.agreed.whole or ()) else seen, inside


def _thinned(prices: Prices, feature: Feature, column: int) -> np.ndarray:
    """Some values from end to end: evenly among those that there are, and evenly among rows."""
    seen, inside = usual(prices, feature, column)
    if len(seen) <= GRID:
        return seen
    shares = np.linspace(0, 1, GRID // 2)
    return np.unique(np.concatenate([np.quantile(v, shares, method="nearest") for v in (seen, inside)]))


def options(prices: Prices, x: np.ndarray, unit: tuple[int, ...], values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, alternatives) what it costs each row to take each alternative, and whether it may.

    Args:
        values: (alternatives, columns of the unit), or (n, alternatives, columns) with others for each row.
    """
    own = x[:, list(unit)]
    allowed = np.asarray((own[:, None] != values).any(2))
    for i, c in enumerate(unit):
        allowed &= _may(prices, prices.schema.features[c], own[:, i, None], values[..., i])
    if len(unit) > 1 or prices.schema.features[unit[0]].kind == "categorical":
        return np.ones(allowed.shape), allowed
    return prices.moved(own, values[..., 0], unit[0]), allowed


def _may(prices: Prices, feature: Feature, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """(n, alternatives) whether a column's (n, 1) values may become each of the alternatives."""
    if feature.kind == "categorical":
        return np.array(True)
    low, high = prices.agreed.limits[feature.name]
    slack = 1e-6 * (high - low)  # limits are not rounded to the table's float32
    good = (old == new) | (low - slack <= new) & (new <= high + slack)
    good &= (new >= old) | (feature.name not in prices.agreed.rising)
    return np.asarray(good & ((new <= old) | (feature.name not in prices.agreed.falling)))


class Rows:
    """Rows of a table as values (n, units): a number, a category's code, or which of one-hot columns is 1.

    Args:
        x: (n, columns).
        most: as ``alternatives`` takes it.
    """

    def __init__(self, prices: Prices, x: np.ndarray, most: int = ALL) -> None:
        self.prices, self.x = prices, x
        parts = [_which(x[:, list(u)]) if len(u) > 1 else x[:, u[0]] for u in prices.units]
        self.own = np.stack(parts, 1).astype(x.dtype)
        self.alternatives = [alternatives(prices, unit, x.dtype, most) for unit in prices.units]

    def realise(self, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        """(m, columns) the rows (m,) with the values (m, units)."""
        made = self.x[rows]
        for u, unit in enumerate(self.prices.units):
            if len(unit) == 1:
                made[:, unit[0]] = values[:, u]
                continue
            at = np.flatnonzero(values[:, u] != self.own[rows, u])
            made[at[:, None], list(unit)] = np.eye(len(unit), dtype=made.dtype)[values[at, u].astype(int)]
        return made

    def choices(self, row: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each unit the values that a row may take and what they cost, the cheapest (its own) first."""
        found = []
        for u, (values, _) in enumerate(self.alternatives):
            cost, allowed = options(self.prices, self.x[row : row + 1], self.prices.units[u], values)
            cost = np.concatenate([[0.0], cost[0, allowed[0]]])
            order = np.argsort(cost, kind="stable")
            found.append((np.concatenate([self.own[row, u, None], single(values)[allowed[0]]])[order], cost[order]))
        return found

    @property
    def countless(self) -> list[str]:
        """The numbers that may change and whose values are too many, or no whole numbers, to be all looked at."""
        parts = zip(self.prices.units, self.alternatives)
        return [self.prices.schema.features[unit[0]].name for unit, (_, all_there) in parts if not all_there]


def single(values: np.ndarray) -> np.ndarray:
    """(..., columns of a unit) as one value each: of one-hot columns which is 1."""
    return values[..., 0] if values.shape[-1] == 1 else values.argmax(-1).astype(values.dtype)


def every(
    choices: Sequence[tuple[np.ndarray, np.ndarray]], eps: float, most: int
) -> tuple[np.ndarray, np.ndarray] | int:
    """Every row (m, units) that costs at most ``eps``, its own first, and the prices (m,); beyond ``most`` rows, how many
    there are at least.

    Args:
        choices: for each unit values and costs, ascending, as ``Rows.choices`` gives them.
    """
    made, price = np.zeros((1, 0)), np.zeros(1)
    for values, cost in choices:
        left = np.searchsorted(cost, eps + SLACK - price, "right")
        if left.sum() > most:
            return int(left.sum())
        parent = np.repeat(np.arange(len(price)), left)
        pick = np.arange(len(parent)) - np.repeat(np.cumsum(left) - left, left)
        made, price = np.column_stack([made[parent], values[pick]]), price[parent] + cost[pick]
    return made, price


def within(rows: Rows, row: int, eps: float, most: int) -> tuple[np.ndarray, np.ndarray]:
    """``every`` for one of some rows; refused where there are more than ``most``."""
    found = every(rows.choices(row), eps, most)
    if isinstance(found, int):
        asked, given = f"every row within a price of {eps:g}", f"at least {found:,} for one row, where most={most:,}"
        raise Refused(asked, given, "a smaller eps, constraints that leave fewer, a larger most, or tabular_search")
    return found


def countable(prices: Prices, x: np.ndarray, most: int) -> Rows:
    """Rows of which every change can be looked at; refused where a number that may change has too many values."""
    rows = Rows(prices, x, most)
    if rows.countless:
        given = f"numbers that are not whole, or have more than most={most:,} values: {', '.join(rows.countless)}"
        instead = "constraints that hold them immutable, or whole within limits; else the attack tabular_search"
        raise Refused("every change of a row", given, instead)
    return rows


def _which(one_hot: np.ndarray) -> np.ndarray:
    """(n,) the column that is 1; -1 where not exactly one is."""
    right = np.isin(one_hot, (0, 1)).all(1) & (one_hot.sum(1) == 1)
    return np.where(right, one_hot.argmax(1), -1)
