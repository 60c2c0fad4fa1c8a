"""A search for the most adversarial row of a table within a price, by the model's answers alone."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from torch import Tensor

from labkit.attacks._table import AT_ONCE, Table, leading
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.data.constraints import Constraints
from labkit.data.schema import Schema
from labkit.models.classifier import Classifier

# Values held at once; levels without a gain before a row leaves; rounds of exchanges at most.
HELD, PATIENCE, ROUNDS = 1 << 22, 2, 20


def tabular_search(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: Literal["cost"],
    generator: Draws,
    schema: Schema,
    constraints: Constraints,
    background: Tensor,
    batch_size: int,
    *,
    width: Annotated[int, Range(1, 64, log=True), "unfinished changes of a row that are carried on"] = 8,
    expand: Annotated[int, Range(1, 512, log=True), "moves tried from the second change on, the most promising"] = 128,
    restarts: Annotated[int, Range(0, 50), "random starts after the search by level, each the best of 16"] = 3,
) -> Annotated[Tensor, "queries"]:
    """Changes columns one after another and carries the best on, then exchanges changes for as long as that helps.

    Every category that may be taken is tried, and of numbers whole values, or values that training rows have from end to
    end and at what parts of the budget reach. Half of what is carried on has the largest margin, half the most margin for
    its price. At last each change is exchanged for any other, and pairs for one taken back and one made, from the best row
    and from random ones. Rows leave when broken. Needs answers alone, so trees and black boxes will do.

    Args:
        x: (n, columns).
        eps: the price of a row's changes at most, by ``labkit.data.price``: a category 1, a number the share of training
            rows that it passes.
        constraints: filled in from schema and background.
        background: (m, columns) training rows: they set the prices, and say which values are usual.

    Source: greedy and beam search over priced changes: Kireev, Kulynych and Troncoso, 2022, arXiv 2208.13058; the order of
    what is carried on follows the margin gained for the price, as there.
    """
    table = Table(model, x, y, eps, schema, constraints, background, batch_size)
    _, units, many = table.cost.shape
    block = max(1, HELD // (units * max(units * (many + expand), width * expand)))
    for start in range(0, len(x), block):
        rows = np.arange(start, min(start + block, len(x)))
        rows = rows[table.live[rows]]
        moves = _by_level(table, rows, width, expand)
        _exchange(table, rows, table.state[rows], moves)
        for restart in range(restarts):
            on = table.live[rows]
            states = table.at_random(generator[rows[on]].spawn(restart), rows[on], AT_ONCE)
            best = leading(*table.offer(rows[on], states), 1)
            _exchange(table, rows[on], np.take_along_axis(states, best[..., None], 1)[:, 0], moves[on])
    return table.found


def _by_level(table: Table, rows: np.ndarray, width: int, expand: int) -> np.ndarray:
    """One change more at each level; returns (m, moves) each row's most promising moves: unit times moves plus number."""
    units, many = table.cost.shape[1:]
    base, every = table.score[rows, None], np.arange(units * many)
    alone = np.zeros((len(rows), len(every), units), np.int16)
    alone[:, every, every // many] = every % many
    score, price = table.offer(rows, alone)
    most = max(1, min(expand, int(np.isfinite(score).sum(1).max(initial=0))))
    moves = np.sort(_promising(score, price, base, most), axis=1)
    beam = np.take_along_axis(alone, _promising(score, price, base, width)[..., None], 1)
    on, stale = np.arange(len(rows)), np.zeros(len(rows), int)
    for _ in range(units - 1):
        stay = table.live[rows[on]] & (stale[on] < PATIENCE)
        on, beam = on[stay], beam[stay]
        if not len(on):
            break
        before = table.score[rows[on]]
        unit, number = moves[on] // many, moves[on] % many
        states = np.repeat(beam[:, :, None], moves.shape[1], 2)
        fresh = np.take_along_axis(states, unit[:, None, :, None], 3)[..., 0] == 0
        np.put_along_axis(states, unit[:, None, :, None], number[:, None, :, None], 3)
        states = states.reshape(len(on), -1, units)
        score, price = table.offer(rows[on], states, (fresh & (number > 0)[:, None]).reshape(len(on), -1))
        beam = np.take_along_axis(states, _promising(score, price, base[on], width)[..., None], 1)
        stale[on] = np.where(table.score[rows[on]] > before, 0, stale[on] + 1)
    return moves


def _promising(score: np.ndarray, price: np.ndarray, base: np.ndarray, count: int) -> np.ndarray:
    """(m, count) positions: half of them with the highest score, half with the highest gain for its price."""
    best = leading(score, price, -(-count // 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        worth = np.where(np.isfinite(score), (score - base) / price, -np.inf)
    np.put_along_axis(worth, best, -np.inf, 1)
    return np.concatenate([best, leading(worth, price, count // 2)], 1)


def _exchange(table: Table, rows: np.ndarray, state: np.ndarray, moves: np.ndarray) -> None:
    """From states (m, units) to the best that differ in one unit, or are one change taken back and one made, while they gain."""
    units, many = table.cost.shape[1:]
    every = np.arange(units * many)
    score = table.offer(rows, state[:, None])[0][:, 0]
    for _ in range(ROUNDS):
        on = table.live[rows]
        rows, state, moves, score = rows[on], state[on], moves[on], score[on]
        if not len(rows):
            return
        one = np.repeat(state[:, None], len(every), 1)
        one[:, every, every // many] = every % many
        two, taken_back = _swapped(state, moves, many)
        states = np.concatenate([one, two], 1)
        found, paid = table.offer(rows, states, np.concatenate([np.ones(one.shape[:2], bool), taken_back], 1))
        best = leading(found, paid, 1)
        found = np.take_along_axis(found, best, 1)[:, 0]
        gain = found > score
        state = np.take_along_axis(states, best[..., None], 1)[:, 0]
        rows, state, moves, score = rows[gain], state[gain], moves[gain], found[gain]


def _swapped(state: np.ndarray, moves: np.ndarray, many: int) -> tuple[np.ndarray, np.ndarray]:
    """(m, k, units) states with one change taken back and one of the moves made, and (m, k) which of them are so."""
    changed = np.argsort(state == 0, axis=1, kind="stable")[:, : (state > 0).sum(1).max()]
    less = np.repeat(state[:, None], changed.shape[1], 1)
    np.put_along_axis(less, changed[..., None], 0, 2)
    two = np.repeat(less[:, :, None], moves.shape[1], 2)
    np.put_along_axis(two, (moves // many)[:, None, :, None], (moves % many)[:, None, :, None].astype(state.dtype), 3)
    good = np.repeat(np.take_along_axis(state, changed, 1) > 0, moves.shape[1], 1)
    return two.reshape(len(state), -1, state.shape[1]), good
