"""Whether a model tells an outsider what a person's record says in one column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.intervals import Ends, paired_mean, wilson
from labkit.core.record import Dims, Record

Estimate = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class AttributeInference(Record):
    """Guesses at one column of people of whom an outsider knows everything else, with and without asking the model.

    Attributes:
        model: its name. feature: the column. values: what may be guessed, in words.
        guesses: who guesses, in words; those from ``FIRST`` on ask the model.
        hit: (guess, row) whether the guess is right.
        member: (row,) whether the model was trained on the row. position: its number in the training or test data.
        known: people of the test data, none of them among the rows, from whom the outsider knows how columns go together.
        copies: rows that were left out since an equal row stands elsewhere in the data.
    """

    FIRST = 2
    OTHERS = 1  # the guess from the other columns, without the model

    model: str
    feature: str
    values: tuple[str, ...]
    guesses: tuple[str, ...]
    hit: Annotated[np.ndarray, Dims("guess", "row")]
    member: Annotated[np.ndarray, Dims("row")]
    position: Annotated[np.ndarray, Dims("row")]
    known: int
    copies: int

    @property
    def asking(self) -> range:
        """Which guesses ask the model."""
        return range(self.FIRST, len(self.guesses))

    def right(self, member: bool, level: float = 0.95) -> tuple[np.ndarray, Ends]:
        """(guess,) the share of right guesses about people trained on, or not, with Wilson's interval."""
        hits = self.hit[:, self.member == member].sum(1)
        n = int((self.member == member).sum())
        return hits / n, wilson(hits, n, level)

    def above(self, guess: int, member: bool = True, level: float = 0.95) -> Estimate:
        """By how much a guess is right more often than the one from the other columns, about the same people."""
        better = self._better(guess, member)
        low, high = paired_mean(better, level)
        return float(better.mean()), float(low), float(high)

    def leak(self, guess: int, level: float = 0.95) -> Estimate:
        """``above`` of people trained on, less that of people who were not: what the model tells because it has seen them.

        The distances to the ends of the two intervals add up as variances do (Zou and Donner, 2008, doi
        10.1002/sim.3095).
        """
        (seen, seen_low, seen_high), (new, new_low, new_high) = (
            self.above(guess, side, level) for side in (True, False)
        )
        gap = seen - new
        return (
            gap,
            gap - float(np.hypot(seen - seen_low, new_high - new)),
            gap + float(np.hypot(seen_high - seen, new - new_low)),
        )

    def remembered(self, guess: int, level: float = 0.95) -> Estimate:
        """The smaller of ``above`` and ``leak``, end by end: only what is more than both other columns and other people
        give is a leak of what the model has seen."""
        return tuple(map(min, self.above(guess, True, level), self.leak(guess, level)))  # type: ignore[return-value]

    @property
    def most(self) -> int:
        """Which guess that asks the model leaks most, by the lower end."""
        return max(self.asking, key=lambda g: self.remembered(g)[1])

    def _better(self, guess: int, member: bool) -> np.ndarray:
        side = self.member == member
        return self.hit[guess, side].astype(float) - self.hit[self.OTHERS, side]
