"""One feature in two parts: how far apart, by chance or not, and what the second has that the first has not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labkit.analyses._groups import probes
from labkit.analyses._leakage.near import lines
from labkit.core import intervals, resampling
from labkit.data.split import Split

DRAWS = 1000
NAN = float("nan")
NUMBERS = ("difference", "low", "high", "p", "psi")


def feature(train: np.ndarray, test: np.ndarray, coded: bool, generator: np.random.Generator) -> dict[str, Any]:
    """Everything of one feature, by the names of the record. Holes are no values: a part of holes alone has no difference."""
    of = len(train), len(test)
    if coded:
        values, code = np.unique(np.concatenate([train, test]), return_inverse=True)
        code = np.ravel(code)
        table = np.stack([np.bincount(c, minlength=len(values)) for c in (code[: len(train)], code[len(train) :])])
        found = _categories(table, code, generator)
        hits = int(table[1, table[0] == 0].sum())
        new = [_outside(k, *of) for k in table[1, table[0] == 0]]
        p = min([1.0, *(len(values) * one for one in new)])
    else:
        train, test = (v[~np.isnan(v)] for v in (train, test))
        found = _numbers(train, test) if min(len(train), len(test)) > 1 else dict.fromkeys(NUMBERS, NAN)
        above, below = (test > train.max(), test < train.min()) if len(train) else (np.full(len(test), True), False)
        above, below = int(np.sum(above)), int(np.sum(below))
        hits = above + below
        p = min(1.0, 2 * min(_outside(k, *of) for k in (above, below)))
    low, high = intervals.clopper_pearson(hits, of[1])
    return found | {"beyond": hits, "beyond_low": float(low), "beyond_high": float(high), "beyond_p": p}


def _outside(k: int, n: int, m: int) -> float:
    """How likely k rows named before, such as the k largest or those of one category, are all among the m of n + m."""
    return float(np.prod((m - np.arange(k)) / (n + m - np.arange(k))))


def _numbers(train: np.ndarray, test: np.ndarray) -> dict[str, Any]:
    """The standardised difference with a normal interval, by how far each row pulls it (the delta method): that of Hedges and
    Olkin, 1985 (Statistical Methods for Meta-Analysis, chapter 5), where values are normal, and wider where tails are long."""
    from scipy.stats import ks_2samp

    n, m = len(train), len(test)
    spread = np.sqrt(((n - 1) * train.var(ddof=1) + (m - 1) * test.var(ddof=1)) / (n + m - 2))
    if not spread > 0:
        apart = float(test[0] != train[0])
        return {"difference": 0.0 if not apart else NAN, "low": NAN, "high": NAN, "p": 1.0 - apart, "psi": NAN}
    d = float((test.mean() - train.mean()) / spread)
    away = (train - train.mean()) / spread, (test - test.mean()) / spread
    pulls = (sign * z / len(z) - d / 2 * (z**2 - 1) / (n + m) for sign, z in zip((-1, 1), away))
    half = 1.959963984540054 * np.sqrt(sum(float(np.square(pull).sum()) for pull in pulls))
    level = probes.levels(np.concatenate([train, test]), False)
    table = np.stack([np.bincount(v, minlength=level.max() + 1) for v in (level[:n], level[n:])])
    p = float(ks_2samp(train, test, method="asymp").pvalue)
    return {"difference": d, "low": d - half, "high": d + half, "p": p, "psi": _stability(table)}


def _categories(table: np.ndarray, code: np.ndarray, generator: np.random.Generator) -> dict[str, Any]:
    sizes = table.sum(1)
    value = _variation(table / sizes[:, None])
    drawn = [resampling.bootstrap_counts(row, DRAWS, generator) / size for row, size in zip(table, sizes)]
    apart = _variation(np.stack(drawn, 1))
    low, high = resampling.bias_corrected(apart, float(value))
    part = np.repeat([0, 1], sizes)
    p = probes.independent(code, part, 2)
    # noise adds to a distance, in draws as much again: the lower end goes as far down, and to 0 where all may be chance
    low = 0.0 if p > 0.05 else min(low, float(2 * value - np.quantile(apart, 0.975)))
    return {"difference": float(value), "low": max(0.0, low), "high": min(1.0, high), "p": p, "psi": _stability(table)}


def _variation(shares: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(shares[..., 1, :] - shares[..., 0, :]).sum(-1) / 2)


def _stability(table: np.ndarray) -> float:
    """Population stability index, half a row added to every cell so that an empty one does not make it infinite."""
    share = (table + 0.5) / (table + 0.5).sum(1, keepdims=True)
    return float(((share[1] - share[0]) * np.log(share[1] / share[0])).sum())


def new_words(train: Split, test: Split, deals: int, generator: np.random.Generator) -> tuple[Any, int, float]:
    """The share of words in test texts that no training text has, with texts dealt anew to the two parts as its null: rare
    words are new to any part. Texts as they were written, where they are there: word numbers leave out what was rare."""
    from sklearn.feature_extraction.text import CountVectorizer

    texts = [*lines(train), *lines(test)]
    inside = CountVectorizer(binary=True, token_pattern=r"\S+", lowercase=False).fit_transform(texts).astype(np.float32)
    n = len(train)
    parts = np.zeros((len(texts), deals + 1), np.float32)
    parts[n:, 0] = 1
    for k in range(1, deals + 1):
        parts[generator.permutation(len(texts))[n:], k] = 1
    there = inside.T @ parts
    new = there * (inside.T @ (1 - parts) == 0)
    share, hits, of = new.sum(0) / there.sum(0), int(new[:, 0].sum()), int(there[:, 0].sum())
    low, high = intervals.wilson(hits, of)
    return (hits / of, float(low), float(high)), of, resampling.share_as_large(share[1:], float(share[0]))


def tabled(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The features' findings as arrays, p-values corrected."""
    names = ("difference", "low", "high", "p", "psi", "beyond", "beyond_low", "beyond_high", "beyond_p")
    arrays = {k: np.array([f[k] for f in found], float) for k in names}
    return arrays | {k: intervals.holm(arrays[k]) for k in ("p", "beyond_p")}
