"""The lower end for a largest difference: which least one, among the groups as they may truly be, would still show it.

The largest of many observed differences is too large, the more so the more groups are truly alike at either end. How
much is found by drawing estimates anew for groups that stand as the data leave them when their largest difference is
held at a value (a parametric bootstrap of each hypothesis: Chuang and Lai, 2000, Statistica Sinica 10, 1-50; what lies
close to an end counts as alike: Andrews and Soares, 2010, doi 10.3982/ECTA7502).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Groups within so many standard errors of either end count as lying there.
ALIKE = 2.0
# Pairs that would have to be drawn by so many standard errors further apart to be the furthest are left out of draws.
BEYOND = 5.0
DRAWS, STEPS = 600, 7
# Draws by pairs at one value: at most so many for the draws themselves, and in memory at once.
WORK, PART = 100_000, 4_000_000


@dataclass(frozen=True)
class Groups:
    """Estimates of several groups.

    Attributes:
        values: (groups,) what was seen.
        spread: (groups,) true values -> (groups,) standard errors of estimates about them.
        drawn: (groups,) true values, how many -> (draws, groups) estimates about them.
    """

    values: np.ndarray
    spread: Callable[[np.ndarray], np.ndarray]
    drawn: Callable[[np.ndarray, int], np.ndarray]

    def lower_end(self, level: float, deviate: float) -> float:
        """The least largest difference under which what was seen is not among the share 1 - ``level`` that is furthest out.

        Args:
            deviate: the upper end misses where all differences fall so many standard errors short; as much of
                1 - ``level`` as that takes is not left for the lower end.
        """
        low, high = 0.0, float(np.ptp(self.values))
        if high == 0 or self._plausible(0.0, level, deviate):
            return 0.0
        for _ in range(STEPS):
            middle = (low + high) / 2
            low, high = (low, middle) if self._plausible(middle, level, deviate) else (middle, high)
        return low

    def _plausible(self, largest: float, level: float, deviate: float) -> bool:
        truth = self._held_at(largest)
        first, second = np.triu_indices(len(truth), 1)
        error = np.hypot(*(self.spread(truth)[end] for end in (first, second)))
        moving = error > 0
        if not moving.any():
            return False
        first, second, error = first[moving], second[moving], error[moving]
        seen = ((np.abs(self.values[first] - self.values[second]) - largest) / error).max()
        near = np.abs(truth[first] - truth[second]) + BEYOND * error >= largest
        first, second, error = first[near], second[near], error[near]
        draws = self.drawn(truth, int(np.clip(WORK // len(error), 200, DRAWS)))
        parts = np.array_split(draws, max(1, draws.shape[0] * len(error) // PART))
        null = np.concatenate([((np.abs(d[:, first] - d[:, second]) - largest) / error).max(1) for d in parts])
        spent = np.mean(null < -deviate)
        return bool(np.mean(null >= seen - 1e-9) > 1 - level - spent)

    def _held_at(self, largest: float) -> np.ndarray:
        """(groups,) the values nearest to those seen that are at most so far apart (least squares in standard errors),
        with those that are within ``ALIKE`` standard errors of an end put there."""
        weight = 1 / np.maximum(self.spread(np.full(len(self.values), self.values.mean())), 1e-12) ** 2
        low, high = float(self.values.min()), float(self.values.max()) - largest
        for _ in range(25):
            middle = (low + high) / 2
            above = weight @ np.maximum(self.values - middle - largest, 0)
            below = weight @ np.maximum(middle - self.values, 0)
            low, high = (middle, high) if above > below else (low, middle)
        held = np.clip(self.values, low, low + largest)
        up, down = low + largest - held, held - low
        nearest = np.where(up <= down, low + largest, low)
        return np.where(np.minimum(up, down) < ALIKE * self.spread(held), nearest, held)


def shares(hits: np.ndarray, n: np.ndarray) -> Groups:
    """Proportions: binomial draws with a seed of their own, so that equal counts are told the same."""
    of = np.maximum(np.rint(n), 1).astype(int)

    def spread(share: np.ndarray) -> np.ndarray:
        nearly = (share * n + 1) / (n + 2)
        return np.asarray(np.sqrt(nearly * (1 - nearly) / n))

    def drawn(share: np.ndarray, count: int) -> np.ndarray:
        return np.random.default_rng(0).binomial(of, share, (count, len(of))) / of

    return Groups(hits / n, spread, drawn)
