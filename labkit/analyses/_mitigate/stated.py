"""What is stated of a decision rule on people whom it was not fitted to, beside the rule in use."""

from __future__ import annotations

import inspect
import typing
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from labkit.core import intervals, method, registry, resampling
from labkit.core.refused import Refused
from labkit.metrics import Labels
from labkit.records.predict import Predictions

REPLICATES, LEVELS = 1000, 64
# The level of an interval of one standard error to either side.
ONE_ERROR = 0.6827
TRUTH, ANSWER = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
SHOWN = ("selection_rate", "true_positive_rate", "false_positive_rate")
ODDS = ("true_positive_rate", "false_positive_rate")


@dataclass(frozen=True)
class Criterion:
    """The rates whose largest difference between groups should shrink. A group's people are a table (..., 4) of expected
    counts: true class not positive or positive, each answered not positive or positive."""

    name: str
    rates: tuple[str, ...]

    @classmethod
    def of(cls, asked: str, name: str, p: Predictions) -> Criterion:
        """The criterion of that name. Refused unless it is equalized odds or a rate of the answers."""
        if name == "equalized_odds":
            return cls(name, ODDS)
        function = registry.find("metrics", name)
        weighs = "weight" in inspect.signature(function).parameters
        wanted = set(method.needs(function)) <= {"y_true", "y_pred"} and weighs
        labels = typing.get_type_hints(function, include_extras=True).get("y_true") == Labels
        if not wanted or not isinstance(rate(name, np.ones(4)), intervals.Rate) or (labels and len(p.classes) > 2):
            given = f"{name}, which is no rate of answers about one class"
            instead = "equalized_odds, selection_rate, true_positive_rate, false_positive_rate or precision"
            raise Refused(f"{asked} with criterion={name!r}", given, instead)
        return cls(name, (name,))

    def values(self, tables: np.ndarray) -> np.ndarray:
        """(..., rates, groups) of (..., groups, 4) counts."""
        return np.stack([rate(name, tables) for name in self.rates], -2)

    def disparity(self, tables: np.ndarray) -> float:
        """The largest difference of (groups, 4) counts; nan where a group has no such rate, or with fewer than two."""
        return float(np.ptp(self.values(tables), axis=-1).max()) if len(tables) > 1 else float("nan")


def rate(name: str, tables: np.ndarray) -> Any:
    """A metric of (..., 4) counts."""
    function = registry.find("metrics", name)
    columns = {"y_true": TRUTH, "y_pred": ANSWER}
    found = function(**{k: columns[k] for k in method.needs(function)}, weight=tables)
    return found if isinstance(found, intervals.Rate) else np.asarray(found)


@dataclass(frozen=True)
class Judges:
    """The people by whom rules are judged: true classes, groups, and which groups are compared."""

    y: np.ndarray
    group: np.ndarray
    groups: int
    positive: int
    criterion: Criterion
    ranked: np.ndarray

    @cached_property
    def truth(self) -> np.ndarray:
        return self.y == self.positive

    def tables(self, chances: np.ndarray) -> np.ndarray:
        """(groups, 4) expected counts of (n, classes) chances of each answer."""
        return self._summed(self.group, self.truth, chances[:, self.positive], np.ones(len(self.y)))

    def _summed(self, group: np.ndarray, truth: np.ndarray, chance: np.ndarray, count: np.ndarray) -> np.ndarray:
        cell = group * 4 + truth * 2
        size = self.groups * 4
        found = np.bincount(cell, count * (1 - chance), size) + np.bincount(cell + 1, count * chance, size)
        return found.reshape(self.groups, 4)

    def right(self, chances: np.ndarray) -> np.ndarray:
        """(n,) chance of the right answer."""
        return chances[np.arange(len(self.y)), self.y]

    def taken_of(self, chances: np.ndarray) -> np.ndarray:
        """(rates, groups) of how many people the criterion's rates are taken."""
        tables = self.tables(chances)
        return np.array([[rate(name, table).of for table in tables] for name in self.criterion.rates])

    def disparity(self, chances: np.ndarray) -> float:
        """The largest difference between ranked groups; nan where one has no such rate."""
        return self.criterion.disparity(self.tables(chances)[self.ranked])

    def likely_cost(self, chances: np.ndarray, reference: np.ndarray) -> float:
        """Accuracy that the reference has more, and one standard error of it: what it may cost."""
        less = self.right(reference) - self.right(chances)
        low, high = intervals.paired_mean(less, ONE_ERROR)
        return float(less.mean() + (high - low) / 2)

    def stated(
        self, chances: np.ndarray, reference: np.ndarray, score: np.ndarray | None, seed: int, name: str
    ) -> dict[str, Any]:
        """The arrays of the record for one rule, beside the reference's chances."""
        right = self.right(chances)
        less = self.right(reference) - right
        low, high = intervals.wilson(right.sum(), len(right))
        cost_low, cost_high = intervals.paired_mean(less)
        hits, of = np.bincount(self.y, right), np.bincount(self.y)
        balanced = intervals.average_share(hits[of > 0], of[of > 0])
        auc = (np.nan,) * 3 if score is None else intervals.delong(self.truth, score[:, self.positive])
        return {
            "lots": float((1 - (chances**2).sum(1)).mean()),
            "accuracy": float(right.mean()), "accuracy_low": float(low), "accuracy_high": float(high),
            "balanced_accuracy": float((hits[of > 0] / of[of > 0]).mean()),
            "balanced_accuracy_low": float(balanced[0]), "balanced_accuracy_high": float(balanced[1]),
            "auc": auc[0], "auc_low": auc[1], "auc_high": auc[2],
            "cost": float(less.mean()), "cost_low": float(cost_low), "cost_high": float(cost_high),
            **self._rates(chances, right),
            **self._apart(chances, resampling.stream(seed, "mitigate", "null", name)),
            **self._gained(chances, reference, resampling.stream(seed, "mitigate", "gain")),
            **self._changed(chances[:, self.positive], reference[:, self.positive]),
        }  # fmt: skip

    @property
    def rates(self) -> tuple[str, ...]:
        """The names of what is stated of each group."""
        return tuple(dict.fromkeys((*self.criterion.rates, *SHOWN, "accuracy")))

    def _rates(self, chances: np.ndarray, right: np.ndarray) -> dict[str, np.ndarray]:
        tables, found = self.tables(chances), []
        for name in self.rates:
            if name == "accuracy":
                hits, of = np.bincount(self.group, right, self.groups), np.bincount(self.group, minlength=self.groups)
            else:
                rates = [rate(name, table) for table in tables]
                hits, of = (np.array([getattr(r, k) for r in rates]) for k in ("hits", "of"))
            low, high = intervals.wilson(hits, of)
            value = np.divide(hits, of, out=np.full(self.groups, np.nan), where=of > 0)
            found.append((value, low, high, of))
        return dict(zip(("rate", "rate_low", "rate_high", "rate_of"), np.array(found).transpose(1, 0, 2)))

    def _apart(self, chances: np.ndarray, generator: np.random.Generator) -> dict[str, float]:
        """The disparity, its interval over all pairs of groups (and both odds) at once, and what equal groups show."""
        tables, level = self.tables(chances)[self.ranked], 1 - 0.05 / len(self.criterion.rates)
        value = self.criterion.disparity(tables)
        if np.isnan(value):
            return dict.fromkeys(("disparity", "disparity_low", "disparity_high", "null95", "p"), np.nan)
        ends, null = [], np.zeros(REPLICATES)
        for name in self.criterion.rates:
            rates = [rate(name, table) for table in tables]
            hits, of = (np.array([getattr(r, k) for r in rates]) for k in ("hits", "of"))
            ends.append(intervals.largest_difference(hits, of, level))
            whole = np.maximum(np.rint(of), 1)
            dealt = np.stack([np.minimum(np.rint(hits), whole), whole - np.minimum(np.rint(hits), whole)], 1).astype(
                int
            )
            drawn = resampling.permuted_tables(dealt, REPLICATES, generator)[:, :, 0] / whole
            null = np.maximum(null, np.ptp(drawn, axis=1))
        low, high = np.max(ends, axis=0)
        return {
            "disparity": value,
            "disparity_low": low,
            "disparity_high": min(high, 1.0),
            "null95": float(np.quantile(null, 0.95)),
            "p": resampling.share_as_large(null, value),
        }

    def _gained(self, chances: np.ndarray, reference: np.ndarray, generator: np.random.Generator) -> dict[str, float]:
        """The reference's disparity less this one's, with a bootstrap of people, from counts of people who are alike."""
        if self.ranked.sum() < 2:
            return dict.fromkeys(("gain", "gain_low", "gain_high"), np.nan)
        one, other = reference[:, self.positive], resampling.coarse(chances[:, self.positive], LEVELS)
        keys = np.stack([self.group, self.truth, one, other], 1)
        cells, counts = np.unique(keys, axis=0, return_counts=True)
        group, truth = cells[:, 0].astype(int), cells[:, 1].astype(int)
        drawn = resampling.bootstrap_counts(counts, REPLICATES, generator)
        apart: list[np.ndarray] = []
        now: list[np.ndarray] = []
        for chance in (cells[:, 2], cells[:, 3]):
            design = np.zeros((len(cells), self.groups * 4))
            rows = np.arange(len(cells))
            design[rows, group * 4 + truth * 2], design[rows, group * 4 + truth * 2 + 1] = 1 - chance, chance
            for weight, into in ((drawn, apart), (counts[None], now)):
                values = self.criterion.values((weight @ design).reshape(-1, self.groups, 4)[:, self.ranked])
                into.append((values[..., :, None] - values[..., None, :]).reshape(len(weight), -1))
        values = np.concatenate(now)
        low, high = resampling.between_largest(np.stack(apart, 1), values)
        if (one == other).all():
            low = high = 0.0
        return {"gain": float(values[0].max() - values[1].max()), "gain_low": low, "gain_high": high}

    def _changed(self, chance: np.ndarray, before: np.ndarray) -> dict[str, np.ndarray]:
        """People of each group who are answered otherwise than by the reference, by direction, and who of them rightly."""
        up, down = (1 - before) * chance, before * (1 - chance)
        counts = {"selected": up, "selected_right": up * self.truth, "deselected": down}
        counts["deselected_right"] = down * ~self.truth
        return {k: np.bincount(self.group, v, self.groups) for k, v in counts.items()}
