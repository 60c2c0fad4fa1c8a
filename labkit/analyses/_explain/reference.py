"""What each column adds to a score, relative to a population: Shapley values with other people's values for absence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Score = Callable[[np.ndarray], np.ndarray]
# A change of the score below this share of its size may be rounding: a row's place in a batch can change its last digits,
# and a column that the model does not read would add something, always the same, and so seem sure.
ROUNDING = 64 * float(np.finfo(np.float32).eps)


def contributions(
    score: Score, x: np.ndarray, population: np.ndarray, pairs: int, generator: np.random.Generator
) -> np.ndarray:
    """(pairs, n, columns) unbiased draws of interventional Shapley values (Strumbelj and Kononenko, 2014, doi
    10.1007/s10115-013-0679-x).

    Each draw takes a person of the population and an order of the columns, and its reverse (Mitchell et al., 2021, arXiv
    2104.12199): columns change from that person's value to x's one after the other, and get the change of the score.
    All rows share the draws, so that a row's values do not depend on the others.
    """
    n, columns = x.shape
    found = np.empty((pairs, n, columns))
    for k in range(pairs):
        other = population[generator.integers(len(population))]
        order = generator.permutation(columns)
        found[k] = (_along(score, x, other, order) + _along(score, x, other, order[::-1])) / 2
    return found


def _along(score: Score, x: np.ndarray, other: np.ndarray, order: np.ndarray) -> np.ndarray:
    """(n, columns) changes of the score as the columns change in this order."""
    place = np.empty(len(order), int)
    place[order] = np.arange(len(order))
    taken = place[None, :] < np.arange(len(order) + 1)[:, None]
    mixed = np.where(taken[:, None, :], x[None], other)
    scores = score(mixed.reshape(-1, x.shape[1])).reshape(len(taken), len(x))
    steps = np.diff(scores, axis=0)
    steps[np.abs(steps) <= ROUNDING * np.abs(scores).max(0)] = 0
    return steps[place].T


def turned(
    decide: Callable[[np.ndarray], np.ndarray], x: np.ndarray, people: np.ndarray, columns: list[np.ndarray]
) -> np.ndarray:
    """(n,) the share of people whose values in each row's columns, put in their place, turn the answer; nan without any."""
    chosen = np.zeros(x.shape, bool)
    for i, places in enumerate(columns):
        chosen[i, places] = True
    mixed = np.where(chosen[:, None, :], people[None], x[:, None, :])
    share = decide(mixed.reshape(-1, x.shape[1])).reshape(len(x), len(people)).mean(1)
    return np.where(chosen.any(1), share, np.nan)


def overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(n,) how many columns two choices share, of all that either names; places below 0 are none. 1 where both are empty."""
    found = []
    for a, b in zip(first, second):
        one, two = set(a[a >= 0]), set(b[b >= 0])
        found.append(len(one & two) / len(one | two) if one | two else 1.0)
    return np.array(found)
