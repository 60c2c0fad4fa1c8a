"""What attacks on tables share: what may be done to each row within a price, and the most adversarial state kept.

A state (units,) says for each unit of a row 0 (as it was) or which of its moves it takes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from labkit.attacks._search import CLEAR, margin
from labkit.core.draws import Draws
from labkit.data.alternatives import Rows, options, single, usual
from labkit.data.constraints import Constraints
from labkit.data.price import SLACK, Prices
from labkit.data.schema import Schema
from labkit.models.classifier import Classifier

# Margins closer than this share of a row's largest logit are equal, and the cheaper is better: batches round differently.
GRAIN = 2.0**-12
# Random states drawn together.
AT_ONCE = 16


class Table:
    """Rows under attack: their moves, what the model answers to states, and the best state of each.

    Scores are margins in steps of ``GRAIN``: above 0 where the answer is wrong.

    Attributes:
        new, cost: (n, units, 1 + moves) values and prices; number 0 is the row's own. Infinite where not allowed.
        live: (n,) which rows are not yet clearly broken.
    """

    def __init__(
        self,
        model: Classifier,
        x: Tensor,
        y: Tensor,
        eps: float,
        schema: Schema,
        constraints: Constraints,
        background: Tensor,
        batch_size: int,
    ) -> None:
        self.model, self.y, self.eps, self.batch_size = model, y, eps, batch_size
        self.like = x
        self.rows = Rows(Prices(schema, constraints, background.cpu().numpy()), x.cpu().numpy())
        self.new, self.cost = _moves(self.rows, eps)
        n, self.units = self.rows.own.shape
        self.state = np.zeros((n, self.units), np.int16)
        self.score, self.spent, self.live = np.full(n, -np.inf), np.zeros(n), np.ones(n, bool)
        every = np.arange(n)
        self.grain = grain(ask(model, self.rows, every, self.rows.own, y, batch_size)[1])
        self.offer(every, self.state[:, None])

    def offer(
        self, rows: np.ndarray, states: np.ndarray, good: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ask for states (m, k, units) of rows (m,), and keep the best of each row.

        Args:
            good: (m, k) which of them to ask for.

        Returns:
            (m, k) scores, minus infinity for those not asked for, too dear, or there already; (m, k) prices.
        """
        which, k = np.nonzero(np.ones(states.shape[:2], bool) if good is None else good)
        paid = self.cost[rows[which, None], np.arange(self.units), states[which, k]].sum(1).round(9)
        which, k, paid = (part[paid <= self.eps + SLACK] for part in (which, k, paid))
        values = self.new[rows[which, None], np.arange(self.units), states[which, k]]
        new = _first(which, values)
        which, k, values = which[new], k[new], values[new]
        lead, size = ask(self.model, self.rows, rows[which], values, self.y, self.batch_size)
        score, clear = np.full(states.shape[:2], -np.inf), np.zeros(states.shape[:2], bool)
        price = np.full(states.shape[:2], np.inf)
        score[which, k], clear[which, k] = np.ceil(lead / self.grain[rows[which]]), lead > CLEAR * size
        price[which, k] = paid[new]
        best = leading(score, price, 1)[:, 0]
        i = np.arange(len(rows))
        found, paid = score[i, best], price[i, best]
        better = (found > self.score[rows]) | (found == self.score[rows]) & (paid < self.spent[rows])
        better &= np.isfinite(found)
        kept = rows[better]
        self.state[kept], self.score[kept] = states[i, best][better], found[better]
        self.spent[kept], self.live[kept] = paid[better], ~clear[i, best][better]
        return score, price

    @property
    def found(self) -> Tensor:
        """The best states as rows, like x."""
        n = np.arange(len(self.state))
        values = self.new[n[:, None], np.arange(self.units), self.state]
        return torch.from_numpy(self.rows.realise(n, values)).to(self.like)

    def at_random(self, draws: Draws, rows: np.ndarray, count: int) -> np.ndarray:
        """(rows, count, units) states that make random affordable moves in random units, one after another.

        Even ones go on through all units, so that they spend what there is; odd ones change a random number of them.
        """
        n, m = len(rows), len(rows) * count
        at = np.repeat(rows, count)
        order = draws.spawn(0).uniform(count, self.units).argsort(2, kind="stable").reshape(m, self.units)
        nth = draws.spawn(1).uniform(count, self.units).reshape(m, self.units)
        some = 1 + (draws.spawn(2).uniform(count) * self.units).astype(int)
        some[:, ::2] = self.units
        state, spent = np.zeros((m, self.units), np.int16), np.zeros(m)
        for step in range(self.units):
            unit = order[:, step]
            cost = self.cost[at, unit]
            can = (cost <= self.eps + SLACK - spent[:, None]) & (step < some.reshape(m, 1))
            can[:, 0] = False
            pick = (can.cumsum(1) > np.floor(nth[:, step] * can.sum(1))[:, None]).argmax(1) * can.any(1)
            state[np.arange(m), unit] = pick
            spent += cost[np.arange(m), pick]
        return state.reshape(n, count, self.units)


def ask(
    model: Classifier, rows: Rows, which: np.ndarray, values: np.ndarray, y: Tensor, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """(m,) margins and largest logits of changed rows: ``which`` rows (m,) with the values (m, units)."""
    found = np.zeros((2, len(which)))
    for start in range(0, len(which), batch_size):
        part = slice(start, start + batch_size)
        with torch.no_grad():
            logits = model(model.tensor(rows.realise(which[part], values[part]))).float()
        lead = margin(logits, y[torch.from_numpy(which[part]).to(y.device)])
        found[:, part] = torch.stack([lead, logits.abs().amax(1)]).double().cpu().numpy()
    return found[0], found[1]


def grain(size: np.ndarray) -> np.ndarray:
    """What margins are rounded to where the largest logit is ``size``: a power of two, so that it is one in every batch."""
    return np.asarray(GRAIN * 2.0 ** np.floor(np.log2(np.nan_to_num(size, nan=1.0, posinf=1.0).clip(1e-30))))


def leading(score: np.ndarray, price: np.ndarray, count: int) -> np.ndarray:
    """(m, count) positions of the highest scores, the cheaper first among equals."""
    return np.lexsort((price, -score), axis=1)[:, :count]


def _moves(rows: Rows, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """(n, units, 1 + moves) values and prices of what each row can afford."""
    new, cost = [], []
    for u, (values, all_there) in enumerate(rows.alternatives):
        unit = rows.prices.units[u]
        values = np.broadcast_to(values, (len(rows.x), *values.shape))
        if not all_there:
            values = np.concatenate([values, _steps(rows, unit[0], eps)[..., None]], 1)
        price, allowed = options(rows.prices, rows.x, unit, values)
        price = np.where(allowed & (price <= eps + SLACK), price, np.inf)
        used = np.isfinite(price).any(0)
        new.append(np.concatenate([rows.own[:, u, None], single(values)[:, used]], 1))
        cost.append(np.concatenate([np.zeros((len(rows.x), 1)), price[:, used]], 1))
    many = max(c.shape[1] for c in cost)
    wide = [((0, 0), (0, many - c.shape[1])) for c in cost]
    return (
        np.stack([np.pad(v, w) for v, w in zip(new, wide)], 1),
        np.stack([np.pad(c, w, constant_values=np.inf) for c, w in zip(cost, wide)], 1),
    )


def _steps(rows: Rows, column: int, eps: float) -> np.ndarray:
    """(n, steps) how far a number gets, among usual values, for the whole budget, what whole changes leave of it, and parts."""
    seen, _ = usual(rows.prices, rows.prices.schema.features[column], column)
    if not len(seen):
        return rows.x[:, :0]
    own, at = rows.prices.scaled(rows.x[:, column], column)[:, None], rows.prices.scaled(seen, column)
    left = eps - np.arange(4)
    amounts = np.unique([*left[left > 0], eps / 2, eps / 4, eps / 8]) + SLACK
    up = np.searchsorted(at, own + amounts, "right") - 1
    down = np.searchsorted(at, own - amounts, "left")
    return seen[np.concatenate([up, down], 1).clip(0, len(seen) - 1)].astype(rows.x.dtype)


def _first(which: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(m,) whether each of the (m, units) values is the first of its row ``which`` (m,), ascending, that is so."""
    weights = Draws(0, 1).bits(values.shape[1])[0].view(np.int64)
    key = (np.ascontiguousarray(values, np.float64).view(np.int64) * weights).sum(1)
    order = np.lexsort((key, which))
    new = np.ones(len(key), bool)
    new[order[1:]] = (np.diff(key[order]) != 0) | (np.diff(which[order]) != 0)
    return new
