"""Thresholds by group that make one rate equal, for many tables at once: the observed one, and draws of it."""

from __future__ import annotations

from typing import Literal

import numpy as np

# A level that all groups shall have is sought among so many.
GRID = 48
# Parts of draws make arrays of at most so many numbers, which a processor's cache holds.
PART = 400_000
# Rates that never fall as more are taken; where one stands still, the cut before or after the stretch is better.
RISING: dict[str, Literal["left", "right"]] = {
    "selection_rate": "left",
    "true_positive_rate": "left",
    "false_positive_rate": "right",
}
CRITERIA = ("selection_rate", "true_positive_rate", "false_positive_rate", "precision", "accuracy")

Answers = tuple[np.ndarray, np.ndarray]


class Curves:
    """What each group gets when its people are taken from the highest score down, level by level.

    Between two levels the cut is shared: some of the people at the score are taken at random, so that a rate can be met
    exactly (Hardt, Price and Srebro, 2016, arXiv 1610.02413).

    Args:
        tables: (draws, groups, levels, 2) people by score, highest first, and truth (negative, positive).
    """

    def __init__(self, tables: np.ndarray) -> None:
        taken = np.pad(tables.cumsum(2), ((0, 0), (0, 0), (1, 0), (0, 0))).astype(float)
        self.false, self.true = taken[..., 0], taken[..., 1]
        self.negatives, self.positives = self.false[..., -1:], self.true[..., -1:]
        self.right = self.true + self.negatives - self.false

    def fraction(self, criterion: str) -> Answers:
        """(draws, groups, cuts) numerator and denominator of a rate after each cut; both are linear between cuts."""
        whole = np.ones_like(self.true)
        people = whole * (self.positives + self.negatives)
        return {
            "selection_rate": (self.true + self.false, people),
            "true_positive_rate": (self.true, whole * self.positives),
            "false_positive_rate": (self.false, whole * self.negatives),
            "precision": (self.true, self.true + self.false),
            "accuracy": (self.right, people),
        }[criterion]

    def at(self, place: np.ndarray) -> Answers:
        """True and false positives at real-valued cuts (..., groups); nan stays."""
        known = np.nan_to_num(place)
        first = np.minimum(known.astype(int), self.true.shape[-1] - 2)
        share = (known - first)[..., None]
        found = []
        for curve in (self.true, self.false):
            ends = [np.take_along_axis(curve, (first + step)[..., None], -1) for step in (0, 1)]
            found.append(np.where(np.isnan(place), np.nan, (ends[0] * (1 - share) + ends[1] * share)[..., 0]))
        return found[0], found[1]

    def levels(self, criterion: str) -> np.ndarray:
        """Values that a rate takes at some group's cuts: of rates that are linear the best common one is among them."""
        top, bottom = self.fraction(criterion)
        seen = np.unique((top[bottom > 0] / bottom[bottom > 0]).round(12))
        return seen[np.unique(np.linspace(0, len(seen) - 1, min(GRID, len(seen))).round().astype(int))]

    def one_threshold(self) -> np.ndarray:
        """(draws, groups) the one cut for all groups that is right most often."""
        best = self.right.sum(1).argmax(-1)
        return np.repeat(best[:, None], self.true.shape[1], 1).astype(float)

    def equalized(self, criterion: str, levels: np.ndarray) -> np.ndarray:
        """(draws, groups) the cuts that give all groups the same rate and are right most often; nan where no level
        can be reached by all."""
        draws, groups, cuts = self.true.shape
        reached = self._rising if criterion in RISING else self._searched
        size = max(1, PART // (groups * cuts * len(levels)))
        parts = [slice(i, i + size) for i in range(0, draws, size)]
        return np.concatenate([_best(*reached(criterion, levels, part)) for part in parts])

    def _rising(self, criterion: str, levels: np.ndarray, part: slice) -> tuple[np.ndarray, np.ndarray]:
        """(draws, groups, levels) the cut that reaches each level of a rate that never falls, and how many answers are
        then right. Where a stretch of cuts does, it is the end of it with fewer false or more true positives."""
        top, bottom = (v[part] for v in self.fraction(criterion))
        rate, right = top / bottom, self.right[part]
        # all curves as one rising sequence: curve after curve, 2 apart
        offset = 2.0 * np.arange(rate[..., 0].size).reshape(*rate.shape[:2], 1)
        side = 1 if RISING[criterion] == "right" else -1
        found = np.searchsorted((rate + offset).ravel(), levels + offset + side * 1e-9, RISING[criterion])
        first = np.clip(found - (offset / 2).astype(int) * rate.shape[-1] - 1, 0, rate.shape[-1] - 2)
        before, after = (np.take_along_axis(rate, first + step, -1) for step in (0, 1))
        share = np.divide(levels - before, after - before, out=np.ones_like(before), where=after > before).clip(0, 1)
        ends = [np.take_along_axis(right, first + step, -1) for step in (0, 1)]
        return first + share, ends[0] * (1 - share) + ends[1] * share

    def _searched(self, criterion: str, levels: np.ndarray, part: slice) -> tuple[np.ndarray, np.ndarray]:
        """The same for a rate that rises and falls: of all cuts that reach a level, the one that is right most often,
        and of those the one nearest to the group's own best. -inf where none does."""
        top, bottom = (v[part] for v in self.fraction(criterion))
        right = self.right[part]
        # f is 0 where the rate is at the level; linear between cuts, it is 0 once at most between two
        f = top[..., None, :] - levels[:, None] * bottom[..., None, :]
        f[np.abs(f) < 1e-9] = 0
        before, after = f[..., :-1], f[..., 1:]
        share = np.divide(before, before - after, out=np.ones_like(before), where=before != after)
        base, gain = bottom[..., None, :-1], np.diff(bottom)[..., None, :]
        hit = (before * after <= 0) & (base + share * gain > 1e-9)
        value = right[..., None, :-1] + share * np.diff(right)[..., None, :]
        place = np.arange(share.shape[-1]) + share
        value -= 1e-9 * np.abs(place - right.argmax(-1)[..., None, None])
        value = np.where(hit, value, -np.inf)
        segment = value.argmax(-1)[..., None]
        return tuple(np.take_along_axis(v, segment, -1)[..., 0] for v in (place, value))  # type: ignore[return-value]


def _best(cut: np.ndarray, value: np.ndarray) -> np.ndarray:
    """(draws, groups) the cuts of the level at which all groups together are right most often."""
    together = value.sum(1)
    chosen = np.broadcast_to(together.argmax(-1)[:, None, None], (*cut.shape[:2], 1))
    found = np.take_along_axis(cut, chosen, -1)[..., 0]
    return np.where(np.isinf(together.max(-1))[:, None], np.nan, found)


def implied(base: np.ndarray, true: float, false: float, precise: float) -> dict[tuple[str, str], Answers]:
    """What follows when two rates are equal in groups of unequal base rates: true and false positives as shares of each
    group, from false / (1 - base) = base / (1 - base) (1 - precision) / precision times the true positive rate
    (Chouldechova, 2017, arXiv 1610.07524); nan where that would take a rate above 1.

    Args:
        base: (..., groups) base rates. true, false, precise: (..., 1) the equal rates.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        pairs = {
            ("precision", "true_positive_rate"): (base * true, base * true * (1 - precise) / precise),
            ("precision", "false_positive_rate"): ((1 - base) * false * precise / (1 - precise), (1 - base) * false),
            ("true_positive_rate", "false_positive_rate"): (base * true, (1 - base) * false),
        }
    possible = {k: ((t <= base) & (f <= 1 - base)).all(-1, keepdims=True) for k, (t, f) in pairs.items()}
    return {k: (np.where(possible[k], t, np.nan), np.where(possible[k], f, np.nan)) for k, (t, f) in pairs.items()}
