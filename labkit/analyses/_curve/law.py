"""The law that errors follow with more rows: fitted to the smaller sizes, judged by the larger ones, read beyond them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from labkit.core import powerlaw
from labkit.core.resampling import bias_corrected
from labkit.records.learning_curve import Estimate, Law, Need

# Sizes beyond a quarter of the largest are not fitted but foretold.
HELD = 4
# Three numbers are fitted: at least one size more says whether they fit.
LEAST = 4
# How far the errors foretold may be from those measured, as a ratio, before the law is taken to fail.
TOLERANCE = 0.25
SIZES = 60


@dataclass(frozen=True)
class Errors:
    """(points,) sizes, the mean test errors there, (replicates, points) draws of them, and how many rows were tested."""

    n: np.ndarray
    error: np.ndarray
    drawn: np.ndarray
    rows: int

    def __getitem__(self, kept: np.ndarray) -> Errors:
        return replace(self, n=self.n[kept], error=self.error[kept], drawn=self.drawn[:, kept])


def roles(n: np.ndarray, high: np.ndarray, chance: float) -> np.ndarray:
    """(points,) what each size is for: "at chance" while the error is not shown to be below that of a constant answer,
    then "fitted", and "held out" beyond a quarter of the largest."""
    learned = np.maximum.accumulate(high < chance)
    return np.where(~learned, "at chance", np.where(n * HELD > n[-1], "held out", "fitted"))


def law_of(errors: Errors, role: np.ndarray) -> tuple[Law | None, str]:
    """The law and why it may not be read beyond the largest size, "" where it may."""
    fitted, held = errors[role == "fitted"], errors[role == "held out"]
    if len(fitted.n) < LEAST:
        return (
            None,
            f"a power law takes {LEAST} sizes above chance and below a quarter of the most rows; there are {len(fitted.n)}",
        )
    fall = _estimate(fitted.drawn[:, 0] - fitted.drawn[:, -1], float(fitted.error[0] - fitted.error[-1]))
    if not fall[1] > 0:
        seen = f"the error falls by {fall[0]:.3f} ({fall[1]:.3f} to {fall[2]:.3f}) from {fitted.n[0]:,.0f} to {fitted.n[-1]:,.0f} rows"
        return None, f"{seen}, no more than seeds and test rows alone may show"
    first, firsts = (powerlaw.fit(fitted.n, e) for e in (fitted.error, fitted.drawn))
    foretold = _along(firsts(held.n), first(held.n))
    least = 0.5 / errors.rows  # an error of 0 has no ratio

    def miss(said: np.ndarray, seen: np.ndarray) -> np.ndarray:
        return np.asarray(np.log(np.maximum(said, least) / np.maximum(seen, least)).mean(-1))

    off = _estimate(miss(firsts(held.n), held.drawn), float(miss(first(held.n), held.error)))
    learned = errors[role != "at chance"]
    last, lasts = (powerlaw.fit(learned.n, e) for e in (learned.error, learned.drawn))
    reach = float(errors.n[-1] / fitted.n[-1])
    sizes = np.geomspace(fitted.n[0], reach * errors.n[-1], SIZES)
    value, low, high = _along(lasts(sizes), last(sizes))
    twice = errors.n[-1] * np.array([1, 2])
    a, b, c = (_above(_estimate(getattr(lasts, name), float(getattr(last, name)))) for name in "abc")
    found = Law(
        a=a,
        b=b,
        c=c,
        predicted=foretold[0],
        low=foretold[1],
        high=foretold[2],
        miss=(float(np.exp(off[0])), float(np.exp(off[1])), float(np.exp(off[2]))),
        reach=reach,
        size=sizes,
        error=value,
        error_low=low,
        error_high=high,
        doubled=_above(_both(-np.diff(lasts(twice))[:, 0], -float(np.diff(last(twice))[0]))),
    )
    ratio = f"{found.miss[0]:.2f} ({found.miss[1]:.2f} to {found.miss[2]:.2f}) times those measured"
    edge = np.log1p(TOLERANCE)
    failed = off[1] > edge or off[2] < -edge
    return found, f"the law of the smaller sizes foretells errors {ratio} at the larger ones" if failed else ""


def need(found: Law, wanted: float, most: float) -> Need:
    """Where the law and the ends of its interval come down to the wanted error; infinite beyond what is told."""

    def first(curve: np.ndarray) -> float:
        reached = np.flatnonzero(curve <= 1 - wanted)
        if not len(reached):
            return float("inf")
        at = reached[0]
        if at == 0:
            return float(found.size[0])
        between = slice(at - 1, at + 1)
        return float(np.exp(np.interp(1 - wanted, curve[between][::-1], np.log(found.size[between])[::-1])))

    rows = (first(found.error), first(found.error_low), first(found.error_high))
    return Need(wanted=wanted, rows=rows, most=most)


def _along(drawn: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ends = np.array([bias_corrected(d, float(v)) for d, v in zip(drawn.T, value)]).reshape(-1, 2)
    return value, np.maximum(ends[:, 0], 0), np.minimum(ends[:, 1], 1)


def _estimate(drawn: np.ndarray, value: float) -> Estimate:
    return (value, *bias_corrected(drawn, value))


def _both(drawn: np.ndarray, value: float) -> Estimate:
    """With the ends of the bias-corrected interval and of the pivotal one: the first covers too seldom where a floor that
    may not go below 0 takes from the slope, the second where there is a floor."""
    _, low, high = _estimate(drawn, value)
    least, most = np.quantile(drawn, (0.025, 0.975))
    return value, min(low, float(2 * value - most)), max(high, float(2 * value - least))


def _above(estimate: Estimate) -> Estimate:
    """An estimate of what cannot be below 0."""
    value, low, high = estimate
    return value, max(low, 0.0), high
