"""What guesses about training rows say of a promise of differential privacy."""

from __future__ import annotations

import numpy as np


def improbable(right: int, guesses: int, epsilon: float, delta: float) -> float:
    """How probable so many right guesses are at most, if training is (epsilon, delta)-differentially private and each guess
    is whether a fair coin put a row into the training data.

    Each guess is right with probability exp(epsilon) / (1 + exp(epsilon)) at most, whatever the others are, but for
    delta: T. Steinke, M. Nasr and M. Jagielski, 2023, arXiv 2305.08846, theorem 5.2 (the bound on a single guess is P.
    Kairouz, S. Oh and P. Viswanath's, 2015, arXiv 1311.0776).
    """
    from scipy.stats import binom

    chance = 1 / (1 + np.exp(-epsilon))
    below = np.cumsum(binom.pmf(np.arange(right - 1, -1, -1), guesses, chance)) / np.arange(1, right + 1)
    slack = 2 * guesses * delta * (below.max() if right else 0.0)
    return float(min(1.0, binom.sf(right - 1, guesses, chance) + slack))


def least_epsilon(right: int, guesses: int, delta: float, level: float = 0.95) -> float:
    """The one-sided lower bound of epsilon: every smaller one makes so many right guesses less probable than 1 - level.

    0 where the guesses are no better than coins show.
    """
    low, high = 0.0, 50.0
    if improbable(right, guesses, low, delta) >= 1 - level:
        return 0.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if improbable(right, guesses, middle, delta) < 1 - level else (low, middle)
    return low
