"""The search for the smallest change that gives another answer, over all rows at once, whatever an input is made of.

An input has units (columns, regions, words); a state says for each unit 0 (as it was) or which of its alternatives it
takes. The price of a state is so much for every changed unit and the alternatives' own costs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from labkit.analyses._guard import Run, batched
from labkit.core.draws import Draws
from labkit.models.classifier import Classifier

Realise = Callable[[np.ndarray, np.ndarray], np.ndarray]
# States held at once, so that memory does not grow with the number of rows.
HELD = 1 << 20
# States of a row that are looked at together, where all are.
LOOKED_AT = 256


@dataclass(frozen=True, eq=False)
class Moves:
    """What can be done to each row.

    Attributes:
        cost: (n, units, alternatives).
        allowed: (n, units, alternatives) booleans.
        realise: (rows (m,), states (m, units)) -> the changed inputs (m, ...).
        most: (n,) the most units that may change.
        complete: (n,) whether the alternatives are all that there are.
    """

    cost: np.ndarray
    allowed: np.ndarray
    realise: Realise
    most: np.ndarray
    complete: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        n, units, many = self.cost.shape
        return n, units, many


@dataclass(frozen=True)
class Settings:
    """How to search.

    Attributes:
        per_change: the price of a changed unit, beside its cost.
        lead: how far the target's logit must be ahead of every other.
        width: changes of so many units that are each carried on, a row.
        expand: alternatives tried from the second unit on, the most promising ones; 0 takes all.
        enumerate: rows with at most so many combinations are looked at in full.
    """

    per_change: float
    lead: float
    width: int
    expand: int
    enumerate: int


@dataclass(eq=False)
class Question:
    """The model, asked for its answer and counting how often for each row."""

    run: Run
    model: Classifier
    target: np.ndarray
    what: str = "counterfactuals"

    def __post_init__(self) -> None:
        self.asked = np.zeros(len(self.target), np.int64)

    def __call__(self, rows: np.ndarray, inputs: Callable[[slice], np.ndarray]) -> np.ndarray:
        """(m, 3): how far the target's logit is ahead of every other, its probability, and the class answered.

        Args:
            rows: (m,) which row each input belongs to.
            inputs: gives a slice of the m inputs.
        """
        np.add.at(self.asked, rows, 1)
        target = torch.from_numpy(self.target[rows])

        def part(at: slice) -> Tensor:
            out = self.model(self.model.tensor(inputs(at))).double().cpu()
            aim = target[at, None]
            own = out.gather(1, aim)[:, 0]
            lead = own - out.scatter(1, aim, -torch.inf).amax(1)
            proba = out.softmax(1).gather(1, aim)[:, 0]
            return torch.stack([lead.nan_to_num(-torch.inf), proba, out.argmax(1).double()], 1)

        if not len(rows):
            return np.zeros((0, 3))
        with torch.no_grad():
            return batched(self.run, self.what, part, len(rows)).numpy()

    def of(self, moves: Moves, rows: np.ndarray, state: np.ndarray) -> np.ndarray:
        """(m, 3) the same of states."""
        return self(rows, lambda at: moves.realise(rows[at], state[at]))

    def leads(self, moves: Moves, rows: np.ndarray, state: np.ndarray) -> np.ndarray:
        """(m,) how far the target's logit is ahead in each state."""
        return self.of(moves, rows, state)[:, 0]


@dataclass(eq=False)
class Found:
    """The cheapest state of each row that gives the target.

    Attributes:
        state: (n, units); price: (n,), infinite where none was found.
        every: (n,) whether every combination was looked at.
    """

    state: np.ndarray
    price: np.ndarray
    every: np.ndarray

    def keep(self, rows: np.ndarray, state: np.ndarray, price: np.ndarray) -> np.ndarray:
        """Take over the cheapest of some states of each row, where it is cheaper; returns the rows."""
        order = np.lexsort((price, rows))
        first = order[np.unique(rows[order], return_index=True)[1]]
        first = first[price[first] < self.price[rows[first]] - 1e-9]
        self.state[rows[first]], self.price[rows[first]] = state[first], price[first]
        return rows[first]


def search(ask: Question, moves: Moves, free: np.ndarray, settings: Settings) -> Found:
    """The cheapest states found: by looking at all where they are few, else level by level, fewest changes first, then
    from the best by changing one unit at a time.

    Args:
        free: (n, units) which units of each row may change in this search.
    """
    n, units, many = moves.shape
    allowed = moves.allowed & free[:, :, None]
    found = Found(np.zeros((n, units), np.int16), np.full(n, np.inf), np.zeros(n, bool))
    total = np.where(allowed, settings.per_change + moves.cost, np.inf)
    total = np.concatenate([np.zeros((n, units, 1)), total], 2)
    ways = np.prod(1.0 + allowed.sum(2), axis=1)
    found.every = (ways <= settings.enumerate) & (moves.most >= allowed.any(2).sum(1))
    for row in np.flatnonzero(found.every):
        _look_at_all(ask, moves, allowed[row], total[row], int(row), settings, found)
    others = np.flatnonzero(~found.every)
    block = max(1, HELD // (settings.width * units * many))
    for start in range(0, len(others), block):
        rows = others[start : start + block]
        _by_level(ask, moves, allowed, total, rows, settings, found)
        _one_kind(ask, moves, allowed, total, rows[~np.isfinite(found.price[rows])], settings, found)
        _descend(ask, moves, total, rows, settings, found)
    return found


def offer(
    ask: Question, moves: Moves, rows: np.ndarray, state: np.ndarray, settings: Settings, found: Found
) -> np.ndarray:
    """Ask for some states of some rows and keep the best; returns how far the target is ahead in each."""
    lead = ask.leads(moves, rows, state)
    good = lead >= settings.lead
    cost = np.take_along_axis(moves.cost[rows[good]], np.maximum(state[good] - 1, 0)[..., None], 2)[..., 0]
    price = np.where(state[good] > 0, settings.per_change + cost, 0.0).sum(1)
    found.keep(rows[good], state[good], price)
    return lead


def _look_at_all(
    ask: Question, moves: Moves, allowed: np.ndarray, total: np.ndarray, row: int, settings: Settings, found: Found
) -> None:
    options = [np.concatenate([[0], np.flatnonzero(unit) + 1]) for unit in allowed]
    at = np.unravel_index(np.arange(int(np.prod([len(o) for o in options]))), [len(o) for o in options])
    state = np.stack([o[i] for o, i in zip(options, at)], 1).astype(np.int16)[1:]
    price = total[np.arange(len(options)), state].sum(1)
    state = state[np.argsort(price, kind="stable")]  # the cheapest first, so that the dear ones need not be asked for
    rows = np.full(len(state), row)
    for start in range(0, len(state), LOOKED_AT):
        at_once = slice(start, start + LOOKED_AT)
        offer(ask, moves, rows[at_once], state[at_once], settings, found)
        if np.isfinite(found.price[row]):
            return


def _by_level(
    ask: Question,
    moves: Moves,
    allowed: np.ndarray,
    total: np.ndarray,
    rows: np.ndarray,
    settings: Settings,
    found: Found,
) -> None:
    """One unit more at each level. What can no longer become cheaper than the best leaves, and with it its row."""
    _, units, many = moves.shape
    rows = rows[moves.most[rows] > 0]
    at, state, price = np.arange(len(rows)), np.zeros((len(rows), units), np.int16), np.zeros(len(rows))
    plain = ask.leads(moves, rows, state)
    # how far ahead the target is after each change alone
    alone = np.where(allowed[rows], 0.0, -np.inf).reshape(len(rows), units * many)
    level = 1
    while len(at):
        parent, where = _next(alone[at], state, settings.expand if level > 1 else 0)
        unit, pick = np.divmod(where, many)
        child = state[parent]
        child[np.arange(len(parent)), unit] = pick + 1
        at, price = at[parent], price[parent] + total[rows[at[parent]], unit, pick + 1]
        first = _unlike(at, child)
        at, state, price, where = at[first], child[first], price[first], where[first]
        lead = ask.leads(moves, rows[at], state)
        good = lead >= settings.lead
        found.keep(rows[at[good]], state[good], price[good])
        if level == 1:
            alone[at, where] = np.maximum(lead, -1e30)
        level += 1
        on = ~good & (level <= moves.most[rows[at]]) & (price + settings.per_change < found.price[rows[at]])
        at, state, price, lead = at[on], state[on], price[on], lead[on]
        promising = _first(at, lead, -(-settings.width // 2))
        promising |= _first(at, (lead - plain[at]) / (price + 1e-9), settings.width // 2)
        at, state, price = at[promising], state[promising], price[promising]


def _next(alone: np.ndarray, state: np.ndarray, expand: int) -> tuple[np.ndarray, np.ndarray]:
    """Which state goes on by which change (unit * alternatives + alternative): all of its unchanged units', or the
    ``expand`` that help most alone."""
    many = alone.shape[1] // state.shape[1]
    left = np.where(np.repeat(state == 0, many, 1), alone, -np.inf)
    if 0 < expand < left.shape[1]:
        least = np.partition(left, -expand, 1)[:, -expand, None]
        left = np.where(left >= least, left, -np.inf)
    which, where = np.nonzero(left > -np.inf)
    return which, where


def _one_kind(
    ask: Question,
    moves: Moves,
    allowed: np.ndarray,
    total: np.ndarray,
    rows: np.ndarray,
    settings: Settings,
    found: Found,
) -> None:
    """Where nothing was found: the first alternative of one unit after another until all have it, such as a picture that
    becomes another one bit by bit."""
    units = moves.shape[1]
    state, price = np.zeros((len(rows), units), np.int16), np.zeros(len(rows))
    for unit in range(units):
        can = allowed[rows, unit, 0] & ((state > 0).sum(1) < moves.most[rows])
        state[can, unit], price[can] = 1, price[can] + total[rows[can], unit, 1]
        on = can & ~np.isfinite(found.price[rows])
        good = ask.leads(moves, rows[on], state[on]) >= settings.lead
        found.keep(rows[on][good], state[on][good], price[on][good])


def _descend(
    ask: Question, moves: Moves, total: np.ndarray, rows: np.ndarray, settings: Settings, found: Found
) -> None:
    """From each row's best state to the cheapest neighbour that still gives the target, as long as there is one."""
    live = rows[np.isfinite(found.price[rows])]
    while len(live):
        state = found.state[live]
        own = np.take_along_axis(total[live], state[:, :, None].astype(np.int64), 2)
        parent, unit, pick = np.nonzero((state > 0)[:, :, None] & (total[live] < own - 1e-9))
        child = state[parent]
        child[np.arange(len(parent)), unit] = pick
        row = live[parent]
        price = found.price[row] + (total[row, unit, pick] - own[parent, unit, 0])
        good = (ask.leads(moves, row, child) >= settings.lead) & child.any(1)
        live = found.keep(row[good], child[good], price[good])


def _unlike(row: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Positions of the first of each row's equal states, in order."""
    weights = Draws(0, 1).bits(state.shape[1])[0].astype(np.int64)
    key = state.astype(np.int64) @ weights
    order = np.lexsort((key, row))
    new = np.ones(len(row), bool)
    new[1:] = (np.diff(row[order]) != 0) | (np.diff(key[order]) != 0)
    return np.sort(order[new])


def _first(row: np.ndarray, score: np.ndarray, count: int) -> np.ndarray:
    """(m,) whether each is among the ``count`` highest of its row."""
    order = np.lexsort((-score, row))
    ordered = row[order]
    place = np.arange(len(row)) - np.searchsorted(ordered, ordered)
    chosen = np.zeros(len(row), bool)
    chosen[order] = place < count
    return chosen
