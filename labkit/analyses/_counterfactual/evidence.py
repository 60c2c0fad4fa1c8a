"""What speaks for and against a counterfactual: is it like real rows, does it stand small noise, what does each change do?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from labkit.analyses._counterfactual.search import Moves, Question
from labkit.core.draws import Draws

# Which neighbour's distance is taken, and how many training rows are neighbours, and how many are compared with.
NEIGHBOUR, MOST_REAL = 5, 1000
COPIES = 32
Apart = Callable[[np.ndarray, np.ndarray], np.ndarray]


def likeness(
    apart: Apart, made: np.ndarray, target: np.ndarray, known: np.ndarray, known_class: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Distance to the fifth-nearest training row of the target class, and the share of real rows as far or farther.

    The training rows of a class are halved by chance: one half are the neighbours, the other half are real rows to
    compare with, which the distances of the changed rows are ranked among (a conformal p-value: of real rows of the
    class at most a share p is at p or less; V. Vovk, A. Gammerman and G. Shafer, 2005, doi 10.1007/b106715).

    Returns:
        (m,) distances, (m,) shares, and the least number of neighbours.
    """
    distance, share, least = np.full(len(made), np.nan), np.full(len(made), np.nan), len(known)
    for c in np.unique(target):
        rows = known[known_class == c]
        order = np.argsort(Draws(seed, len(rows)).bits(1)[:, 0], kind="stable")[: 2 * MOST_REAL]
        near, real = rows[order[::2]], rows[order[1::2]]
        least = min(least, len(near))
        if len(near) < 2 * NEIGHBOUR or not len(real):
            continue
        usual = np.sort(_fifth(apart, real, near))
        some = np.flatnonzero(target == c)
        distance[some] = _fifth(apart, made[some], near)
        share[some] = (1 + len(usual) - np.searchsorted(usual, distance[some] - 1e-9)) / (1 + len(usual))
    return distance, share, least


def _fifth(apart: Apart, some: np.ndarray, near: np.ndarray) -> np.ndarray:
    """(m,) distance to the fifth-nearest, some rows at a time."""
    parts = [np.partition(apart(some[i : i + 256], near), NEIGHBOUR - 1, 1) for i in range(0, len(some), 256)]
    return np.concatenate([p[:, NEIGHBOUR - 1] for p in parts]) if parts else np.zeros(0)


def kept(ask: Question, ways: Any, rows: np.ndarray, made: np.ndarray, draws: Draws) -> np.ndarray:
    """(m,) share of copies with small noise that get the target."""
    streams = draws[rows]
    hits = np.zeros(len(rows))
    for copy in range(COPIES):
        noisy = ways.jitter(made, streams.spawn(copy))
        hits += ask(rows, noisy.__getitem__)[:, 2] == ask.target[rows]
    return hits / COPIES


def path(ask: Question, moves: Moves, rows: np.ndarray, state: np.ndarray) -> np.ndarray:
    """(m, steps + 1) the target's probability as a state's changes are made one by one, each time the one that raises it
    most; nan after the last."""
    steps = int((state > 0).sum(1).max(initial=0))
    found = np.full((len(rows), steps + 1), np.nan)
    made = np.zeros_like(state)
    found[:, 0] = ask.of(moves, rows, made)[:, 1]
    for step in range(1, steps + 1):
        parent, unit = np.nonzero((state > 0) & (made == 0))
        child = made[parent]
        child[np.arange(len(parent)), unit] = state[parent, unit]
        row = rows[parent]
        proba = ask.of(moves, row, child)[:, 1]
        order = np.lexsort((-proba, parent))
        best = order[np.unique(parent[order], return_index=True)[1]]
        made[parent[best]], found[parent[best], step] = child[best], proba[best]
    return found
