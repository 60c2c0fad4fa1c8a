"""How often the intervals of learning curves, labels, leaks, shifts and curvature hold the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri, softmax

import labkit as lk
from benchmarks._coverage_generalize import PEOPLE, Case, Draw, Three, population
from benchmarks._sound_data import stated
from labkit.analyses._curve.law import Errors, law_of
from labkit.analyses._curve.noise import deviations
from labkit.analyses._groups.probes import dealt_folds
from labkit.analyses._landscape.curvature import crossed_mean
from labkit.analyses._leakage.columns import levels
from labkit.analyses._leakage.columns import told as told_by_column
from labkit.analyses._leakage.copies import _within
from labkit.analyses._shift.features import feature
from labkit.analyses._shift.whole import estimated_shares
from labkit.core import resampling


def laws(b: float, floor: float, seeds: int = 5, rows: int = 1000) -> Callable[[Draw], Mapping[str, Three]]:
    """Errors of 2 n^-b and a floor at nine sizes, by models that err on much the same rows."""
    n = 64 * 2 ** np.arange(9.0)
    expected = 2 * n**-b + floor

    def one(g: Draw) -> Mapping[str, Three]:
        hard, seed = g.normal(size=rows) * 0.8**0.5, g.normal(size=(9, seeds, 1)) * 0.03
        wrong = hard + seed + g.normal(size=(9, seeds, rows)) * (0.2 - 0.03**2) ** 0.5 < ndtri(expected)[:, None, None]
        of_a_row, values = wrong.mean(1), wrong.mean(2)
        mean = values.mean(1)
        drawn = np.maximum(mean + deviations(values, of_a_row, 400, g, together=False), 0)
        law, _ = law_of(Errors(n, mean, drawn, rows), np.where(n * 4 > n[-1], "held out", "fitted"))
        if law is None:
            return {}
        last = law.size[-1]
        return {
            ": exponent": (*law.b[1:], b),
            ": error foretold at the largest size": (law.low[-1], law.high[-1], expected[-1]),
            ": error foretold at 8 times that": (law.error_low[-1], law.error_high[-1], 2 * last**-b + floor),
            ": gain of twice the rows": (*law.doubled[1:], 2 * n[-1] ** -b * (1 - 2**-b)),
        }

    return one


def labels(n: int, wrong: float, learned: bool) -> Callable[[Draw], Mapping[str, Three]]:
    """Three classes, of some rows a wrong one, told by a learner that states the chances of the true classes; or, where the
    errors are ``learned``, those of the labels, and so is never surer than labels are right."""

    def one(g: Draw) -> Mapping[str, Three]:
        true, _ = population(3, 1.0)
        sharp = softmax(5 * np.log(true[g.integers(PEOPLE, size=n)]), 1)
        y = (g.random(n)[:, None] > sharp.cumsum(1)).sum(1).clip(max=2)
        off = g.random(n) < wrong
        given = np.where(off, (y + g.integers(1, 3, n)) % 3, y)
        proba = (1 - 1.5 * wrong) * sharp + wrong / 2 if learned else sharp
        found: Any = lk.label_errors(stated(given, proba.argmax(1), 3, proba), seed=int(g.integers(2**31)))
        return {
            ": share of wrong labels": (*found.rate[1:], wrong),
            ": those wrong however sure": (*found.floor[1:], wrong),
            ": suspects truly wrong": (*found.expected[1:], off[found.row].mean() if len(found.row) else np.nan),
        }

    return one


def copies(n: int, doubled: float) -> Callable[[Draw], Three]:
    """Rows of which some stand there twice."""

    def one(g: Draw) -> Three:
        found = _within(np.repeat(np.arange(n), 1 + (g.random(n) < doubled)).astype(np.uint64))
        return found.low, found.high, 2 * doubled / (1 + doubled)

    return one


def columns(n: int, shift: float) -> Callable[[Draw], Three]:
    """The area of one column that is higher by ``shift`` for one of two classes."""

    def one(g: Draw) -> Three:
        y = (g.random(n) < 0.3).astype(int)
        x = g.normal(size=n) + shift * y
        _, low, high, _ = told_by_column(levels(x), x, y, dealt_folds(y, 5, g))
        return low, high, ndtr(shift / np.sqrt(2))

    return one


def numbers(n: int, shift: float, skewed: bool) -> Callable[[Draw], Mapping[str, Three]]:
    """One number in training and test data, and how much of the test data lies outside what training has shown."""
    spread = float(np.sqrt((np.e - 1) * np.e)) if skewed else 1.0

    def one(g: Draw) -> Mapping[str, Three]:
        train, test = (np.exp(z) if skewed else z for z in g.normal(size=(2, n)))
        found = feature(train, test + shift * spread, False, g)
        ends = train.min() - shift * spread, train.max() - shift * spread
        low, high = (np.log(np.maximum(e, 1e-12)) if skewed else e for e in ends)
        outside = ndtr(low) + ndtr(-high)
        return {
            "": (found["low"], found["high"], shift),
            ", beyond training": (found["beyond_low"], found["beyond_high"], outside),
        }

    return one


def categories(n: int, apart: float) -> Callable[[Draw], Three]:
    """One column of five categories, of which the first is rarer in the test data and the last more frequent."""
    share = np.array([0.4, 0.3, 0.15, 0.1, 0.05])

    def one(g: Draw) -> Three:
        found = feature(g.choice(5, n, p=share), g.choice(5, n, p=share + apart * np.array([-1, 0, 0, 0, 1])), True, g)
        return found["low"], found["high"], apart

    return one


def shares(n: int, share: float) -> Callable[[Draw], Three]:
    """The share of a class among new rows, from the answers of a model that is right on 8 and 9 of 10."""

    def one(g: Draw) -> Three:
        y, new = (g.random(n) < 0.5).astype(int), (g.random(n) < share).astype(int)
        said, says = (np.where(g.random(n) < np.where(v == 1, 0.8, 0.9), v, 1 - v) for v in (y, new))
        return *estimated_shares(y, said, says, 2, g)[1:, 1], share

    return one


@cache
def _bent(size: int) -> tuple[np.ndarray, np.ndarray]:
    """A few large curvatures and many small ones, and directions that are not those of single weights."""
    turned = np.linalg.qr(resampling.stream(0, "turned").normal(size=(size, size)))[0]
    return 10.0 * 0.8 ** np.arange(size), turned


def traces(vectors: int, rows: int) -> Callable[[Draw], Three]:
    """Random signs through the curvature of ten blocks of rows, which differ."""
    size, blocks = 100, 10
    bends, turned = _bent(size)

    def one(g: Draw) -> Three:
        signs = g.choice([-1.0, 1.0], (vectors, size)) @ turned
        x = g.normal(size=(blocks, rows, size)) * np.sqrt(bends)
        table = np.square(np.einsum("brs,vs->vbr", x, signs, optimize=True)).mean(2)
        return *crossed_mean(table)[1:], bends.sum()

    return one


def cases() -> Sequence[Case]:
    """All of them."""
    found = [
        Case("power law", f"exponent {b:g}, floor {c:g}", 1000, 0.75, laws(b, c))
        for b, c in ((0.5, 0.0), (0.5, 0.05), (0.3, 0.0))
    ]
    found += [
        Case("labels", f"{p:g} wrong, {'errors learned' if k else 'right chances'}", n, 0.4, labels(n, p, k))
        for k in (False, True) for p in (0.05, 0.2) for n in (300, 1000)
    ]  # fmt: skip
    found += [
        Case("leakage: rows that stand there twice", f"{p:g} of kinds doubled", n, 5, copies(n, p))
        for n in (200, 2000)
        for p in (0.05, 0.3)
    ]
    found += [
        Case("leakage: area of one column", f"apart by {s:g} sd", n, 3, columns(n, s))
        for n in (200, 1000)
        for s in (0.3, 1, 3)
    ]
    found += [
        Case("shift: standardised difference", f"{s:g}, {'log-normal' if k else 'normal'}", n, 2, numbers(n, s, k))
        for n in (100, 1000) for s in (0.0, 0.5) for k in (False, True)
    ]  # fmt: skip
    found += [
        Case("shift: total variation of 5 categories", f"{s:g}", n, 1, categories(n, s))
        for n in (200, 1000, 5000)
        for s in (0.0, 0.03, 0.2)
    ]
    found += [
        Case("shift: share of a class, from answers", f"{s:g}", n, 1, shares(n, s))
        for n in (200, 1000)
        for s in (0.1, 0.5)
    ]
    found += [
        Case("curvature: trace (Hutchinson)", f"{v} vectors, 10 blocks of {r} rows", r * 10, 2, traces(v, r))
        for v, r in ((20, 10), (20, 50), (5, 50))
    ]
    return found
