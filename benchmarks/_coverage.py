"""How often intervals hold the truth: draws from people whose truth is known, by the functions that audits use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.special import ndtr

from labkit.core import intervals, registry, resampling, strata
from labkit.core.ratios import ratio

PEOPLE, BASES, GROUPS = (100, 300, 1000, 5000), (0.02, 0.1, 0.5), (2, 5, 10, 20)
# Many draws by many pairs: the largest difference is asked of fewer sizes.
SOME = (100, 1000, 5000)
REPLICATES = 500
# The Newcombe difference, the ratio and the largest difference are also asked of groups so far apart.
APART = 0.1
Ends = Callable[[np.random.Generator, int, float, int], tuple[Any, Any, Any]]


@dataclass(frozen=True)
class Cell:
    """One interval on one kind of people.

    Attributes:
        below, above: audits whose interval lies wholly below the truth, and wholly above it.
        runs: audits in which there was an interval.
    """

    interval: str
    case: str
    groups: int
    people: int
    base: float
    below: int
    above: int
    runs: int

    @property
    def covered(self) -> float:
        return 1 - (self.below + self.above) / max(self.runs, 1)


def told(interval: str, case: str, groups: int, n: int, base: float, low: Any, high: Any, truth: Any) -> Cell:
    """What intervals from many audits of the same kind of people come to."""
    low, high = np.asarray(low), np.asarray(high)
    known = ~(np.isnan(low) | np.isnan(high))
    below, above = (int((missed & known).sum()) for missed in (high < truth - 1e-9, low > truth + 1e-9))
    return Cell(interval, case, groups, n, base, below, above, int(known.sum()))


def rates(g: np.random.Generator, n: int, p: float, runs: int) -> tuple[Any, Any, Any]:
    return *intervals.wilson(g.binomial(n, p, runs), n), p


def differences(apart: float) -> Ends:
    def ends(g: np.random.Generator, n: int, p: float, runs: int) -> tuple[Any, Any, Any]:
        hits = g.binomial(n, p + apart, runs), g.binomial(n, p, runs)
        return *intervals.newcombe(hits[0], n, hits[1], n), apart

    return ends


def ratios(apart: float) -> Ends:
    def ends(g: np.random.Generator, n: int, p: float, runs: int) -> tuple[Any, Any, Any]:
        hits = g.binomial(n, p + apart, runs), g.binomial(n, p, runs)
        return *ratio(hits[0], n, hits[1], n), (p + apart) / p

    return ends


def paired(g: np.random.Generator, n: int, p: float, runs: int) -> tuple[Any, Any, Any]:
    """Two answers for the same people, which differ for p of them, two times in three one way."""
    drawn = g.multinomial(n, [2 * p / 3, p / 3, 1 - p], runs)
    return *intervals.paired(drawn[:, 0], drawn[:, 1], n), p / 3


def excess(g: np.random.Generator, n: int, p: float, runs: int) -> tuple[Any, Any, Any]:
    """Outcome less stated probability, of probabilities that are right (``paired_mean``)."""
    lows, highs = [], []
    for _ in range(runs):
        stated = g.beta(4 * p, 4 * (1 - p), n)
        low, high = intervals.paired_mean((g.random(n) < stated) - stated)
        lows.append(low)
        highs.append(high)
    return lows, highs, 0.0


def averages(g: np.random.Generator, n: int, p: float, runs: int) -> tuple[Any, Any, Any]:
    """The mean of the rates of two classes, of which one has a fifth of the people."""
    of = np.array([n // 5, n - n // 5])
    return *intervals.average_share(g.binomial(of, [p, p / 2], (runs, 2)), of), 0.75 * p


def _strata(g: np.random.Generator, n: int, p: float, runs: int, other: np.ndarray) -> list[np.ndarray]:
    """Five strata of other sizes and other rates, in which the groups have other shares."""
    of = np.maximum(np.array([0.1, 0.15, 0.2, 0.25, 0.3]) * n, 1).astype(int), np.full(5, n // 5)
    base = p * np.array([0.6, 0.8, 1, 1.2, 1.4])
    return [g.binomial(of[0], other(base), (runs, 5)), of[0], g.binomial(of[1], base, (runs, 5)), of[1]]  # type: ignore[operator]


def common_differences(g: np.random.Generator, n: int, p: float, runs: int) -> tuple[Any, Any, Any]:
    return *strata.common_difference(*_strata(g, n, p, runs, lambda base: base + APART))[1:], APART  # type: ignore[arg-type]


def common_ratios(g: np.random.Generator, n: int, p: float, runs: int) -> tuple[Any, Any, Any]:
    return *strata.common_ratio(*_strata(g, n, p, runs, lambda base: base * 1.3))[1:], 1.3  # type: ignore[arg-type]


def means(g: np.random.Generator, n: int, p: float, runs: int) -> tuple[Any, Any, Any]:
    """Student's: losses that are 0 but for p of the people, for whom they are exponential."""
    ends = [intervals.mean(np.where(g.random(n) < p, g.exponential(size=n), 0)) for _ in range(runs)]
    return *np.array(ends).T, p


def areas(g: np.random.Generator, n: int, p: float, runs: int) -> tuple[Any, Any, Any]:
    """DeLong's: normal scores that are one standard deviation higher for the positives, p of the people."""
    ends = []
    for _ in range(runs):
        y = g.random(n) < p
        ends.append(intervals.delong(y.astype(int), g.normal(size=n) + y)[1:])
    return *np.array(ends).T, float(ndtr(np.sqrt(0.5)))


CLOSED: dict[str, tuple[str, Ends, int]] = {
    "rate (Wilson)": ("", rates, 20),
    "difference (Newcombe), groups equal": ("equal", differences(0), 20),
    "difference (Newcombe), 0.1 apart": ("apart", differences(APART), 20),
    "ratio (log or score), groups equal": ("equal", ratios(0), 20),
    "ratio (log or score), 0.1 apart": ("apart", ratios(APART), 20),
    "paired difference": ("", paired, 20),
    "outcome less stated probability": ("", excess, 2),
    "mean of two rates": ("", averages, 20),
    "common difference in 5 strata (Mantel-Haenszel)": ("", common_differences, 10),
    "common ratio in 5 strata (Mantel-Haenszel)": ("", common_ratios, 10),
    "mean loss (Student)": ("", means, 2),
    "AUC (DeLong)": ("", areas, 1),
}


def closed(runs: int, people: tuple[int, ...] = PEOPLE, bases: tuple[float, ...] = BASES) -> Iterator[Cell]:
    """Intervals with a closed form, of one group or of two."""
    for name, (case, ends, times) in CLOSED.items():
        for base in bases:
            for n in people:
                g = resampling.stream(0, name, str(base), str(n))
                yield told(name, case, 2 if case else 1, n, base, *ends(g, n, base, runs * times))


NUMBERS = ("mean_absolute_error", "root_mean_squared_error")


@cache
def population(metric: str, base: float, shift: float = 0.0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Kinds of people and their shares, on which a metric has one true value; ``shift`` moves it by about as much.

    Of yes and no: a model that finds 70 % of the positives and wrongly picks 20 % of the others. With probabilities: 30
    levels that say what happens. Of numbers: skewed errors on 30 values.
    """
    if metric in NUMBERS:
        error = np.linspace(0, 6, 30)
        share = np.exp(-error)
        return {"y_true": np.zeros(30), "y_pred": error * (1 + shift)}, share / share.sum()
    y = np.repeat([0, 1], 30)
    if "proba" in registry.find("metrics", metric).__code__.co_varnames[1]:
        level = (np.arange(30) + 0.5) / 30
        stated = np.tile(level, 2)
        share = level ** (3 * base - 1) * (1 - level) ** (3 * (1 - base) - 1)
        happened = np.tile(np.clip(level - shift, 0, 1), 2)
        share = np.tile(share / share.sum(), 2) * np.where(y == 1, happened, 1 - happened)
        return {"y_true": y, "y_proba": stated}, share
    true, said = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    found = np.where(true == 1, 0.7 + shift, 0.2 - shift)
    return {"y_true": true, "y_pred": said}, np.where(true == 1, base, 1 - base) * np.where(said == 1, found, 1 - found)


OFF = "expected_calibration_error, 0.1 off"
BOOTSTRAPPED = (
    *("balanced_accuracy", "f1", "treatment_equality", "calibration_in_the_large", "brier", "log_loss", "auc"),
    *("expected_calibration_error", OFF, "mean_absolute_error", "root_mean_squared_error"),
)


def drawn(
    metric: str, base: float, shifts: np.ndarray, n: int, g: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One audit of groups of n people: (groups,) values, (replicates, groups) bootstrap draws, (groups,) true values."""
    values, draws, truth = [], [], []
    function = registry.find("metrics", metric)
    for shift in shifts:
        cells, share = population(metric, base, round(float(shift), 6))
        counts = g.multinomial(n, share)
        again = resampling.bootstrap_counts(counts, REPLICATES, g)
        weighed = np.asarray(function(**cells, weight=np.vstack([counts, share * n, again])), float)
        values.append(weighed[0])
        truth.append(weighed[1])
        draws.append(weighed[2:])
    return np.array(values), np.array(draws).T, np.array(truth)


def bootstrapped(
    runs: int,
    metrics: tuple[str, ...] = BOOTSTRAPPED,
    people: tuple[int, ...] = PEOPLE,
    bases: tuple[float, ...] = BASES,
) -> Iterator[Cell]:
    """Metrics without a closed form, in one group: the bias-corrected bootstrap."""
    for metric in metrics:
        of = metric.partition(",")[0]
        for base in bases:
            for n in people:
                base = 0.5 if of in NUMBERS else base
                g, ends = resampling.stream(0, metric, str(base), str(n)), []
                for _ in range(runs):
                    value, draws, truth = drawn(of, base, np.array([APART * (metric == OFF)]), n, g)
                    ends.append(resampling.bias_corrected(draws[:, 0], float(value[0])))
                yield told(f"{metric} (bootstrap)", "", 1, n, base, *np.array(ends).T, truth[0])
            if of in NUMBERS:
                break  # there is no base rate


def shapes(groups: int, apart: float = APART) -> dict[str, np.ndarray]:
    """How groups lie: by how much each is moved."""
    return {
        "equal": np.zeros(groups),
        "one apart": np.r_[apart, np.zeros(groups - 1)],
        "all apart": np.linspace(0, 2 * apart, groups),
    }


def largest_of_rates(
    runs: int, groups: tuple[int, ...] = GROUPS, people: tuple[int, ...] = SOME, bases: tuple[float, ...] = BASES
) -> Iterator[Cell]:
    """The largest difference among proportions, and the worst of them (Wilson's ends of all groups at once)."""
    for size in groups:
        for base in bases:
            for n in people:
                for case, shift in shapes(size).items():
                    g, of = resampling.stream(0, "largest", case, str((size, base, n))), np.full(size, n)
                    hits = g.binomial(n, base + shift, (runs, size))
                    ends = np.array([intervals.largest_difference(h, of) for h in hits]).T
                    yield told("largest difference of rates", case, size, n, base, *ends, np.ptp(shift))
                    low, high = (e.max(1) for e in intervals.wilson(hits, n, 1 - 0.05 / size))
                    yield told("worst of several rates", case, size, n, base, low, high, base + shift.max())


def largest_of_metrics(
    runs: int,
    metrics: tuple[str, ...] = ("balanced_accuracy", "mean_absolute_error"),
    groups: tuple[int, ...] = GROUPS,
    people: tuple[int, ...] = SOME,
    base: float = 0.3,
) -> Iterator[Cell]:
    """The largest difference of metrics that are resampled."""
    for metric in metrics:
        for size in groups:
            for n in people:
                for case, shift in shapes(size).items():
                    g, ends = resampling.stream(0, metric, case, str((size, n))), []
                    for _ in range(runs):
                        values, draws, truth = drawn(metric, base, shift, n, g)
                        ends.append(resampling.largest_difference(draws, values, sizes=np.full(size, n)))
                    name = f"largest difference of {metric}"
                    yield told(name, case, size, n, base, *np.array(ends).T, np.ptp(truth))
