"""How often the intervals of what a model knows or remembers hold the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri, softmax

import labkit as lk
from benchmarks._coverage import Cell, told
from benchmarks._sound_data import stated
from labkit.analyses._canaries import exposure
from labkit.analyses._memory import Counts
from labkit.analyses._recalibration.fits import WAYS, log_loss
from labkit.core import intervals, resampling, roc
from labkit.core.clusters import clustered
from labkit.core.record import Provenance
from labkit.records.attribute_inference import AttributeInference
from labkit.records.conformal import inside, nonconformity

Draw = np.random.Generator
Three = tuple[Any, Any, Any]
PEOPLE = 20_000


@dataclass(frozen=True)
class Case:
    """Intervals on one kind of data.

    Attributes:
        n: rows (models, draws) that one interval rests on. share: of the audits asked for, by what one costs.
        one: lower end, upper end and truth of one audit; or several such by name.
    """

    interval: str
    setting: str
    n: int
    share: float
    one: Callable[[Draw], Three | Mapping[str, Three]]


def cells(cases: Iterable[Case], runs: int) -> Iterator[Cell]:
    """What many audits of each case come to."""
    for case in cases:
        g = resampling.stream(0, case.interval, case.setting, str(case.n))
        found: dict[str, list[Three]] = {}
        for _ in range(max(1, round(runs * case.share))):
            ends = case.one(g)
            for name, three in ends.items() if isinstance(ends, Mapping) else [("", ends)]:
                found.setdefault(name, []).append(three)
        for name, threes in found.items():
            low, high, truth = (np.array(v, float) for v in zip(*threes))
            yield told(case.interval + name, case.setting, 0, case.n, 0.5, low, high, truth)


def members(n: int, fpr: float, shift: float, share: float) -> Callable[[Draw], Three]:
    """The scores of a share of the members are higher by ``shift``."""
    line = ndtri(fpr)
    truth = share * ndtr(line + shift) + (1 - share) * fpr

    def one(g: Draw) -> Three:
        member = np.arange(2 * n) < n
        score = g.normal(size=2 * n) + shift * (member & (g.random(2 * n) < share))
        _, low, high = roc.rate_at(score, member, fpr)
        return low[0], high[0], truth

    return one


def memory(models: int, inside: float, outside: float) -> Callable[[Draw], Three]:
    """One row's value, of models of which 7 in 10 saw it, as memorization trains them."""
    seen = round(0.7 * models)

    def one(g: Draw) -> Three:
        drawn = (
            (g.binomial(seen, inside, 1), np.array([seen])),
            (g.binomial(models - seen, outside, 1), np.array([models - seen])),
        )
        low, high = Counts(*drawn[0], *drawn[1]).interval
        return low[0], high[0], inside - outside

    return one


def remembered(n: int, seen: float, new: float) -> Callable[[Draw], Three]:
    """Of rows that are hard for other models (a fifth), how many get their label, beside new rows."""

    def one(g: Draw) -> Three:
        hard, hard_new = g.binomial(n, 0.2, 2)
        low, high = intervals.newcombe(g.binomial(hard, seen), hard, g.binomial(hard_new, new), hard_new)
        return low, high, seen - new

    return one


def exposures(models: int, lift: float) -> Callable[[Draw], Three]:
    """Sixteen canaries of which models that saw them are surer by ``lift``, each row by as much more or less of its own."""

    def one(g: Draw, count: int = 16) -> Three:
        saw = g.permuted(np.repeat([[True], [False]], models // 2, 0).repeat(count, 1), axis=0)
        own = g.normal(size=(models, count)) + g.normal(0, 0.7, count) + lift * saw
        twins = g.normal(size=(models, 200)) + g.normal(0, 0.7, 200)
        each = (exposure(own, twins) * saw).sum(0) / saw.sum(0)
        low, high = intervals.skewed_mean(each)
        return low, min(high, float(np.log2(201))), each.mean()

    truth = float(np.mean([one(resampling.stream(1, "exposure", str(i)), 200)[2] for i in range(300)]))
    return lambda g: (*one(g)[:2], truth)


def recognised(models: int, middle: float) -> Callable[[Draw], Three]:
    """Sixteen canaries, each told in as many models as it is easy to tell (``clustered``)."""

    def one(g: Draw) -> Three:
        chance = g.beta(3 * middle, 3 * (1 - middle), 16)
        trials = np.full(16, models // 2)
        return *clustered(g.binomial(trials, chance), trials)[1:], middle

    return one


def attribute(n: int, leaks: float) -> Callable[[Draw], Mapping[str, Three]]:
    """The model's guess is right for some whom the other columns do not tell, more so of people trained on."""

    def one(g: Draw) -> Mapping[str, Three]:
        member = np.arange(2 * n) < n
        other, luck = g.random(2 * n) < 0.6, g.random(2 * n)
        asked = np.where(other, luck < 0.9, luck < np.where(member, 0.2 + leaks / 0.4, 0.2))
        record = AttributeInference(
            provenance=Provenance(analysis="simulated", version=lk.__version__), model="", feature="", values=("a", "b"),
            guesses=("", "", "", ""), hit=np.stack([other, other, asked, asked]), member=member,
            position=np.arange(2 * n), known=n, copies=0,
        )  # fmt: skip
        above = 0.54 + 0.4 * (0.2 + leaks / 0.4) - 0.6
        return {
            ": above the other columns": (*record.above(3)[1:], above),
            ": above other people": (*record.leak(3)[1:], leaks),
        }

    return one


@cache
def population(classes: int, sharper: float) -> tuple[np.ndarray, np.ndarray]:
    """(people, classes) true probabilities, and those that a model states which is too sure."""
    z = 1.2 * resampling.stream(0, "population", str(classes)).normal(size=(PEOPLE, classes))
    return softmax(z, 1), softmax(sharper * z, 1)


def _answers(g: Draw, n: int, classes: int, sharper: float) -> tuple[np.ndarray, np.ndarray]:
    """Stated probabilities of people drawn at random, and their classes."""
    true, said = population(classes, sharper)
    rows = g.integers(PEOPLE, size=n)
    y = (g.random(n)[:, None] > true[rows].cumsum(1)).sum(1).clip(max=classes - 1)
    return said[rows], y


def sets(n: int, method: str) -> Callable[[Draw], Mapping[str, Three]]:
    """Conformal sets of 9 in 10, calibrated on a half. Truth: how often these very sets hold the class of anybody; and what
    was seen, which the band of all calibrations ought to hold."""

    def one(g: Draw) -> Mapping[str, Three]:
        proba, y = _answers(g, n, 3, 2.0)
        found: Any = lk.conformal(
            stated(y, proba.argmax(1), 3, proba), method=method, level=0.9, seed=int(g.integers(2**31))
        )
        true, said = population(3, 2.0)
        chance = g.random(PEOPLE)
        scores = nonconformity(said.astype(np.float32).astype(float), method, chance, 0.0, 0)  # type: ignore[arg-type]
        held = (inside(scores, chance[:, None], found.threshold[0], found.tie[0]) * true).sum(1).mean()
        low, high = (np.atleast_1d(end)[0] for end in (found.band_low, found.band_high))
        return {
            ": of these sets": (*found.coverage[1:], held),
            ": the band, all calibrations": (low, high, found.coverage[0]),
        }

    return one


def gains(n: int, name: str, crossed: bool) -> Callable[[Draw], Three]:
    """The change of log loss by recalibrating a model that is twice too sure: fitted on other rows, or on halves in turn."""
    true, said = population(3, 2.0)

    def change(proba: np.ndarray, y: np.ndarray, way: Any) -> np.ndarray:
        return log_loss(way(proba), y) - log_loss(proba, y)

    def anybody(way: Any) -> float:
        after = way(said)
        each = [log_loss(after, y) - log_loss(said, y) for y in np.repeat([[0], [1], [2]], PEOPLE, 1)]
        return float((np.stack(each, 1) * true).sum(1).mean())

    def one(g: Draw) -> Three:
        parts = [_answers(g, n // 2, 3, 2.0) for _ in "ab"] if crossed else [_answers(g, n, 3, 2.0) for _ in "ab"]
        pairs = [(parts[0], parts[1]), (parts[1], parts[0])] if crossed else [(parts[0], parts[1])]
        ways = [WAYS[name].fit(*fitted, g) for fitted, _ in pairs]
        seen = np.concatenate([change(*held, way) for (_, held), way in zip(pairs, ways)])
        return *intervals.skewed_mean(seen), np.mean([anybody(way) for way in ways])

    return one


def cases() -> Sequence[Case]:
    """All of them."""
    found = [
        Case(
            "membership: true positives at a false positive rate",
            f"rate {fpr:g}, {about}",
            n,
            2,
            members(n, fpr, shift, share),
        )
        for n, fpr in ((200, 0.1), (1000, 0.01), (1000, 0.1), (5000, 0.01))
        for about, shift, share in (
            ("nothing remembered", 0, 1),
            ("all, by 1 sd", 1, 1),
            ("5 of 100, by 5 sd", 5, 0.05),
        )
    ]
    found += [
        Case("memorisation of a row (Newcombe)", f"right in {a:g} with it, {b:g} without", n, 10, memory(n, a, b))
        for n in (48, 256)
        for a, b in ((1, 0), (0.95, 0.3), (0.9, 0.6), (0.7, 0.7))
    ]
    found += [
        Case("remembered: labels given back, beside new rows", f"{a:g} and {b:g}", n, 10, remembered(n, a, b))
        for n in (300, 2000)
        for a, b in ((0.8, 0.1), (0.2, 0.2))
    ]
    found += [
        Case("canaries: exposure in bits", f"16 canaries, surer by {lift:g} sd", n, 2, exposures(n, lift))
        for n in (32, 128)
        for lift in (0, 1, 3, 5)
    ]
    found += [
        Case("canaries: recognised (clustered)", f"16 canaries, {p:g} on average", n, 5, recognised(n, p))
        for n in (32, 128)
        for p in (0.1, 0.5, 0.9)
    ]
    found += [
        Case("attribute inference", f"{leak:g} by having been trained on", n, 2, attribute(n, leak))
        for n in (200, 2000)
        for leak in (0.0, 0.1)
    ]
    found += [Case("conformal sets", method, n, 1, sets(n, method)) for n in (200, 1000) for method in ("lac", "aps")]
    found += [
        Case("recalibration: change of log loss", f"{name}, {'halves in turn' if crossed else 'fitted on as many others'}", n, 1 if name != "dirichlet" else 0.5, gains(n, name, crossed))
        for crossed in (True, False) for name in ("temperature", "isotonic", "dirichlet") for n in (200, 1000)
    ]  # fmt: skip
    return found
