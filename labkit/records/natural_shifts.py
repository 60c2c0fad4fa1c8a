"""What a model answers when its inputs are damaged as the world damages them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.intervals import paired, paired_mean, wilson
from labkit.core.record import Dims, Record

PerCell = Annotated[np.ndarray, Dims("corruption", "severity")]
PerFeature = Annotated[np.ndarray, Dims("feature")]
Estimate = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class NaturalShifts(Record):
    """Answers to the same rows as they are, and under every corruption at every severity. Intervals are at 95 %.

    A *drop* is the accuracy on the rows as they are less that on the corrupted ones; a row's own drop is from -1 to 1.

    Attributes:
        corruptions, families, specs: their names, the family of each, and the calls that made them.
        severities: those measured, from 1 (slight) to 5 (strong).
        y, clean: true classes, and those answered to the rows as they are.
        label: those answered to the corrupted rows; -1 where the answer was not finite, which is no right one.
        changed: how many rows' inputs each corruption changed at all.
        control: rows answered otherwise when a corruption that changes nothing went the same way: 0 in a sound run.
        relative_low, relative_high: ends of the interval of ``relative``.
        features: sensitive features. group, feature_of: each group's name and the index of its feature.
        member: the group of each row by each feature; -1 where it is not known.
        ranked: whether a group is large enough to be compared (``least`` rows).
        highest, lowest: the ranked groups with the largest and the smallest drop; -1 where fewer than two are ranked.
        difference, difference_low, difference_high: between those two, with an interval that allows for having picked
            them. null95: what groups of these sizes, made at random, exceed in 5 % of permutations.
        p, p_holm: how often groups at random have a pair as far apart; and corrected for the number of features.
        prior: class shares that the user named; the shares among these rows where none were named.
    """

    modality: str
    classes: tuple[str, ...]
    corruptions: tuple[str, ...]
    families: tuple[str, ...]
    specs: tuple[str, ...]
    severities: Annotated[np.ndarray, Dims("severity")]
    y: Annotated[np.ndarray, Dims("example")]
    clean: Annotated[np.ndarray, Dims("example")]
    label: Annotated[np.ndarray, Dims("corruption", "severity", "example")]
    changed: PerCell
    control: int
    relative_low: float
    relative_high: float
    features: tuple[str, ...]
    group: Annotated[np.ndarray, Dims("group")]
    feature_of: Annotated[np.ndarray, Dims("group")]
    member: Annotated[np.ndarray, Dims("feature", "example")]
    least: int
    ranked: Annotated[np.ndarray, Dims("group")]
    highest: PerFeature
    lowest: PerFeature
    difference: PerFeature
    difference_low: PerFeature
    difference_high: PerFeature
    null95: PerFeature
    p: PerFeature
    p_holm: PerFeature
    prior: Annotated[np.ndarray, Dims("class")]

    def __len__(self) -> int:
        return len(self.y)

    @property
    def correct(self) -> np.ndarray:
        """(example,) right on the row as it is."""
        return self.clean == self.y

    @property
    def accuracy(self) -> float:
        """Accuracy on the rows as they are."""
        return float(self.correct.mean())

    @property
    def shifted(self) -> np.ndarray:
        """(corruption, severity) accuracy on the corrupted rows."""
        return (self.label == self.y).mean(-1)

    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        """(corruption, severity) ends of Wilson's interval for ``shifted``."""
        return wilson((self.label == self.y).sum(-1), len(self))

    def drop(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(corruption, severity) drops, and the ends of their paired intervals."""
        right = self.label == self.y
        lost, won = (self.correct & ~right).sum(-1), (right & ~self.correct).sum(-1)
        return ((lost - won) / len(self), *paired(lost, won, len(self)))

    @property
    def lost(self) -> np.ndarray:
        """(example,) each row's drop: right as it is, less the share of the cells in which it is right."""
        return self.correct - (self.label == self.y).mean((0, 1))

    def mean_drop(self, level: float = 0.95) -> Estimate:
        """The mean over all corruptions and severities, with its interval over rows."""
        low, high = paired_mean(self.lost, level)
        return float(self.lost.mean()), float(low), float(high)

    @property
    def relative(self) -> float:
        """The mean drop over the error on the rows as they are: 1 means twice as many errors; nan without an error."""
        return float(self.lost.mean() / (1 - self.accuracy)) if self.accuracy < 1 else float("nan")

    @property
    def chance(self) -> np.ndarray:
        """(corruption, severity) the accuracy of answers as frequent as these, but given without looking."""
        shares = np.bincount(self.y, minlength=len(self.classes)) / len(self)
        return np.stack([(self.label == k).mean(-1) for k in range(len(self.classes))], -1) @ shares

    @property
    def at_chance(self) -> np.ndarray:
        """(corruption, severity) whether the interval of the accuracy holds that of answers without looking."""
        return self.interval()[0] <= self.chance

    @property
    def same(self) -> np.ndarray:
        """(corruption, severity) rows answered as without a corruption."""
        return (self.label == self.clean).sum(-1)

    def by_family(self) -> tuple[tuple[str, ...], np.ndarray]:
        """The families, and the (family, severity) mean accuracy over each one's corruptions."""
        names = tuple(dict.fromkeys(self.families))
        return names, np.array([self.shifted[np.array(self.families) == name].mean(0) for name in names])

    def group_drops(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(group,) rows, mean drop, and the ends of its interval; nan in a group without a row."""
        rows = [self.lost[self.member[f] == g] for g, f in enumerate(self.feature_of)]
        ends = [paired_mean(lost) if len(lost) else (np.nan, np.nan) for lost in rows]
        means = [lost.mean() if len(lost) else np.nan for lost in rows]
        low, high = np.array(ends, float).reshape(-1, 2).T
        return np.array([len(lost) for lost in rows]), np.array(means), low, high

    @property
    def observed_prior(self) -> np.ndarray:
        """(class,) share of each class among these rows."""
        return np.bincount(self.y, minlength=len(self.classes)) / len(self)

    def under_prior(self, prior: np.ndarray, *, corrupted: bool, level: float = 0.95) -> Estimate:
        """Accuracy if classes were as frequent as ``prior`` says and each looked as it does here (label shift).

        The mean of the recalls, weighted by the prior; the interval is put together from Wilson's of each (Donner and
        Zou, 2012, doi 10.1177/0962280210383764). nan where the prior asks for a class without a row.
        """
        hits, n = self._recalls(corrupted)
        asked = prior > 0
        low, high = wilson(hits[asked], n[asked], level)
        share = np.divide(hits, n, out=np.full(len(n), np.nan), where=n > 0)[asked]
        weight, middle = prior[asked], float(prior[asked] @ share)
        below, above = np.sqrt(np.sum((weight * (share - low)) ** 2)), np.sqrt(np.sum((weight * (high - share)) ** 2))
        return middle, float(middle - below), float(middle + above)

    def worst_prior(self, within: float, *, corrupted: bool) -> np.ndarray:
        """(class,) the prior with the lowest accuracy among those that move at most ``within`` (0 to 1) of all cases from
        one class to another; classes without a row stay without."""
        hits, n = self._recalls(corrupted)
        order = np.flatnonzero(n)[np.argsort((hits / np.maximum(n, 1))[n > 0], kind="stable")]
        prior, left = self.observed_prior.copy(), within
        for k in order[:0:-1]:
            taken = min(left, prior[k])
            prior[k], left = prior[k] - taken, left - taken
            prior[order[0]] += taken
        return prior

    def _recalls(self, corrupted: bool) -> tuple[np.ndarray, np.ndarray]:
        """(class,) right answers, as a mean over the cells, and rows."""
        right = (self.label == self.y).mean((0, 1)) if corrupted else self.correct
        size = len(self.classes)
        return np.bincount(self.y, right, size), np.bincount(self.y, minlength=size)
