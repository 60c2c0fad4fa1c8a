"""The control of a search for counterfactuals: random changes, with as many questions."""

from __future__ import annotations

import numpy as np

from labkit.analyses._counterfactual.search import HELD, Found, Moves, Question, Settings, offer
from labkit.core.draws import Draws

# States drawn for a row at a time.
DRAWN = 32


def at_random(ask: Question, moves: Moves, budget: np.ndarray, settings: Settings, draws: Draws) -> Found:
    """The control: the cheapest of random states, with at least as many questions a row as ``budget`` says."""
    n, units, _ = moves.shape
    found = Found(np.zeros((n, units), np.int16), np.full(n, np.inf), np.zeros(n, bool))
    order = np.argsort(~moves.allowed, axis=2, kind="stable")
    choices = moves.allowed.sum(2)
    most = np.minimum(moves.most, (choices > 0).sum(1))
    live, turn = np.flatnonzero((most > 0) & (budget > 0)), 0
    while len(live):
        for start in range(0, len(live), max(1, HELD // (DRAWN * units))):
            rows = live[start : start + max(1, HELD // (DRAWN * units))]
            state = _drawn(draws[rows].spawn(turn), order[rows], choices[rows], most[rows])
            offer(ask, moves, np.repeat(rows, DRAWN), state, settings, found)
        turn += 1
        live = live[turn * DRAWN < budget[live]]
    return found


def _drawn(draws: Draws, order: np.ndarray, choices: np.ndarray, most: np.ndarray) -> np.ndarray:
    """(rows * DRAWN, units) states that change a random number of random units to random alternatives."""
    rows, units = choices.shape
    count = 1 + (draws.spawn(0).uniform(DRAWN) * most[:, None]).astype(np.int64)
    priority = np.where(choices[:, None] > 0, draws.spawn(1).uniform(DRAWN, units), 2.0)
    chosen = priority.argsort(2, kind="stable").argsort(2) < count[:, :, None]
    nth = (draws.spawn(2).uniform(DRAWN, units) * choices[:, None]).astype(np.int64)
    picked = np.take_along_axis(order[:, None], nth[..., None], 3)[..., 0]
    return np.where(chosen & (choices[:, None] > 0), picked + 1, 0).reshape(rows * DRAWN, units).astype(np.int16)
