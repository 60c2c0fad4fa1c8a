"""How often intervals between models hold: the best of several, two models, training and test; and what a gate says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.special import expit, ndtr, ndtri

import labkit as lk
from benchmarks._coverage_generalize import PEOPLE, Case, Draw, Three
from benchmarks._sound_data import stated
from labkit.analyses._measure import Measure
from labkit.analyses._pairs.compared import one_run, several_runs
from labkit.analyses.winners_curse import _of_counts
from labkit.core import resampling
from labkit.core.winners import DRAWS, noise, winner
from labkit.records.predict import Predictions

METRICS = ("accuracy", "balanced_accuracy", "auc", "log_loss")
ALARM = 0.01


def _scored(y: np.ndarray, seen: np.ndarray, groups: Any = None) -> Predictions:
    """A model's answers from what it sees, which is higher by 1.5 for the second class."""
    chance = expit(1.5 * (seen - 0.75))
    return stated(y, (chance > 0.5).astype(int), 2, np.stack([1 - chance, chance], 1), groups)


def best_of(k: int, n: int, truth: np.ndarray, together: float) -> Callable[[Draw], dict[str, Three]]:
    """The best of k on the same rows, which are hard for all to the degree of ``together``."""

    def one(g: Draw) -> dict[str, Three]:
        shared = np.sqrt(together) * g.normal(size=(n, 1)) + np.sqrt(1 - together) * g.normal(size=(n, k))
        found = _of_counts(shared < ndtri(truth), g)
        chosen = int(found.values.argmax())
        _, low, high = (
            found.back(v) for v in winner(found.values, found.covariance, noise(found.covariance, DRAWS, g))
        )
        alone = found.lows[chosen], found.highs[chosen], truth[chosen]
        return {", corrected": (low, high, truth[chosen]), ", as if it were the only one": alone}

    return one


def best_balanced(k: int, n: int) -> Callable[[Draw], Three]:
    """The same of a metric that is resampled."""

    def one(g: Draw) -> Three:
        y = (g.random(n) < 0.3).astype(int)
        tried = [stated(y, np.where(g.random(n) < 0.75, y, 1 - y), 2) for _ in range(k)]
        found: Any = lk.winners_curse(tried, "balanced_accuracy", replicates=500, seed=int(g.integers(2**31)))
        return found.corrected_low, found.corrected_high, 0.75

    return one


@cache
def _two() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A population, and what two models see of it, much of it alike."""
    g = resampling.stream(0, "two models")
    y = (g.random(PEOPLE) < 0.4).astype(int)
    z = 1.5 * y + g.normal(size=PEOPLE)
    return y, z + 0.3 * g.normal(size=PEOPLE), z + 0.7 * g.normal(size=PEOPLE)


def two(n: int, metric: str) -> Callable[[Draw], Three]:
    """b less a, one training run a side."""
    y, *seen = _two()
    whole = [float(Measure("", metric, _scored(y, s), 1).value()) for s in seen]

    def one(g: Draw) -> Three:
        rows = g.integers(PEOPLE, size=n)
        a, b = (Measure("", metric, _scored(y[rows], s[rows]), 1) for s in seen)
        found = one_run(a, b, [np.arange(n)], 500, int(g.integers(2**31)))[0][0]
        return found.low, found.high, whole[1] - whole[0]

    return one


def _trained(g: Draw, z: np.ndarray, runs: int, middle: float) -> np.ndarray:
    """(runs, n) what models see that were trained alike but came out more or less blurred; one run speaks of itself."""
    blur = middle + _apart(runs) * g.uniform(-1, 1, (runs, 1))
    return z + blur * g.normal(size=(runs, len(z)))


def _apart(runs: int) -> float:
    return 0.3 if runs > 1 else 0.0


@cache
def _expected(metric: str, middle: float, apart: float) -> float:
    """What such models have on average, of everybody: a million drawn."""
    g = resampling.stream(0, "expected", metric, str(middle))
    y = (g.random(1_000_000) < 0.4).astype(int)
    z = 1.5 * y + g.normal(size=len(y))
    if metric == "auc":
        return float(
            np.mean([ndtr(1.5 / np.sqrt(2 * (1 + (middle + apart * u) ** 2))) for u in np.linspace(-1, 1, 2001)])
        )
    blur = middle + apart * g.uniform(-1, 1, len(y))  # an average over people: each may have a run of its own
    return float(Measure("", metric, _scored(y, z + blur * g.normal(size=len(y))), 1).value())


def several(n: int, runs: int, metric: str) -> Callable[[Draw], Three]:
    """b less a, so many training runs a side."""
    truth = _expected(metric, 0.8, 0.3) - _expected(metric, 0.5, 0.3)

    def one(g: Draw) -> Three:
        y = (g.random(n) < 0.4).astype(int)
        z = 1.5 * y + g.normal(size=n)
        sides = [[Measure("", metric, _scored(y, s), 1) for s in _trained(g, z, runs, m)] for m in (0.5, 0.8)]
        found = several_runs(*sides, [np.arange(n)], int(g.integers(2**31)))[0]
        return found.low, found.high, truth

    return one


def gap(n: int, runs: int, metric: str) -> Callable[[Draw], Three]:
    """Training less test, of models that see the training rows less blurred."""
    truth = _expected(metric, 0.4, _apart(runs)) - _expected(metric, 0.8, _apart(runs))

    def one(g: Draw) -> Three:
        sides = []
        for middle in (0.4, 0.8):
            y = (g.random(n) < 0.4).astype(int)
            sides.append([_scored(y, s) for s in _trained(g, 1.5 * y + g.normal(size=n), runs, middle)])
        found: Any = lk.generalization_gap(*sides, metric, positive=1, replicates=400, seed=int(g.integers(2**31)))
        return found.gap_low, found.gap_high, truth

    return one


def cases() -> Sequence[Case]:
    """All of them."""
    like = {"alike": lambda k: np.full(k, 0.75), "from 0.65 to 0.8": lambda k: np.linspace(0.65, 0.8, k)}
    like["one ahead by 0.1"] = lambda k: np.r_[0.85, np.full(k - 1, 0.75)]
    found = [
        Case("best of several", f"{k}, {how}, {'half in common' if t else 'each on its own'}", n, 0.75 if k > 10 else 2, best_of(k, n, of(k), t))
        for k in (2, 10, 200) for how, of in like.items() for t in (0.0, 0.5) for n in ((300,) if k > 10 else (100, 1000))
    ]  # fmt: skip
    found += [
        Case("best of several, balanced accuracy, corrected", f"{k}, alike", 300, 0.5, best_balanced(k, 300))
        for k in (2, 10)
    ]
    found += [Case("two models", f"{m}, one run each", n, 1, two(n, m)) for m in METRICS for n in (100, 300, 1000)]
    found += [
        Case("two models", f"{m}, {r} runs each", n, 0.75, several(n, r, m))
        for m in ("accuracy", "auc", "log_loss") for r in (2, 5) for n in ((300,) if m == "auc" else (300, 1000))
    ]  # fmt: skip
    found += [
        Case("gap between training and test", f"{m}, {r} run{'s' * (r > 1)}", n, 0.75, gap(n, r, m))
        for m in ("accuracy", "log_loss") for r in (1, 3, 5) for n in (300, 1000)
    ]  # fmt: skip
    return found


@dataclass(frozen=True)
class Gated:
    """How often the second of two models was called worse.

    Attributes:
        lost: how much lower its true accuracy is; 0 of pairs that are trained alike.
    """

    what: str
    n: int
    lost: float
    worse: int
    pairs: int


def gate(pairs: int) -> Iterator[Gated]:
    """Pairs of like models, and pairs of which the second is truly worse."""
    for n in (60, 300):
        for own, about in ((0.3, "much alike"), (1.5, "little alike")):
            yield _gated(f"accuracy; {about}", n, pairs, own)
    for n in (300, 1000):
        for lost in (0.02, 0.05, 0.1):
            yield _gated("accuracy; much alike", n, max(1, pairs // 10), 0.3, lost=lost)
    for runs in (2, 5):
        yield _gated(f"accuracy, {runs} runs each", 300, max(1, pairs // 5), 0.5, runs=runs)
    yield _gated("4 metrics, 8 groups; much alike", 300, max(1, pairs // 5), 0.5, wide=True)


def _gated(what: str, n: int, pairs: int, own: float, *, wide: bool = False, runs: int = 1, lost: float = 0.0) -> Gated:
    g, worse = resampling.stream(0, "gate", what, str(n), str(lost)), 0
    asked = ["accuracy"] if what.startswith("accuracy") else list(METRICS)
    for _ in range(pairs):
        y = (g.random(n) < 0.4).astype(int)
        z = 1.5 * y + g.normal(size=n)
        groups = {"group": np.array([f"g{i}" for i in g.choice(7, n)])} if wide else None
        sides = [[_scored(y, z + own * g.normal(size=n), groups) for _ in range(runs)] for _ in "ab"]
        if lost:
            sides[1] = [_spoiled(p, lost, g) for p in sides[1]]
        record: Any = lk.compare_models(
            *sides,
            asked,
            by="group" if wide else None,
            alarm=ALARM,
            replicates=500,
            seed=int(g.integers(2**31)),
            positive=1,
        )
        worse += bool((record.p_worse <= ALARM).any())
    return Gated(what, n, lost, worse, pairs)


def _spoiled(p: Predictions, lost: float, g: Draw) -> Predictions:
    """Of the right answers so many are made wrong that accuracy falls by ``lost``."""
    wrong = (g.random(len(p)) < lost / 0.76) & (p.label == p.y)
    return stated(p.y, np.where(wrong, 1 - p.label, p.label), 2)
