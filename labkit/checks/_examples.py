"""On how many examples does something hold: the share, with its exact interval, against one half."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.core.intervals import clopper_pearson

ALARM = 0.01  # most that one check may accuse sound explanations by chance, over all that it compares


@dataclass(frozen=True)
class Share:
    """How many of n, and the 95 % interval of that share."""

    hits: float
    n: int

    @property
    def ends(self) -> tuple[float, float]:
        low, high = clopper_pearson(self.hits, self.n)
        return float(low), float(high)

    def side(self) -> str:
        """Whether it holds on "most" examples, on "few", or "open" when the interval crosses one half."""
        low, high = self.ends
        return "most" if low > 0.5 else "few" if high < 0.5 else "open"

    def surely_few(self, comparisons: int = 1) -> bool:
        """Whether so few would come by chance, were it one half, at most once in a hundred among all ``comparisons``."""
        return float(clopper_pearson(self.hits, self.n, 1 - 2 * ALARM / comparisons)[1]) < 0.5

    def surely_most(self, comparisons: int = 1) -> bool:
        """As ``surely_few`` of those on which it does not hold."""
        return Share(self.n - self.hits, self.n).surely_few(comparisons)

    def __str__(self) -> str:
        low, high = self.ends
        return f"{self.hits:g} of {self.n} (95 % interval of the share {low:.2f} to {high:.2f})"


def share(flags: np.ndarray) -> Share:
    """How many flags are up; a half counts as half."""
    return Share(float(np.sum(flags)), len(flags))
