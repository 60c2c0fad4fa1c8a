"""What one column tells by itself: the label, the row's place, or which part a row is of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labkit.analyses._groups import probes
from labkit.analyses._groups.uneven import ABSENT
from labkit.analyses._leakage.found import NAN, Column, Found
from labkit.core import intervals, resampling
from labkit.core.areas import refitted
from labkit.data.split import Dataset, Split
from labkit.records.leakage import APART, MISSING, ORDER, SINGLE

LEVELS, FOLDS, SCREENED = 64, 5, 20
# The area that a column must be sure to lie above before it is called a leak, so that no strong but honest one is.
SURELY = 0.95
ROWS = 20_000


def levels(column: np.ndarray, most: int = LEVELS) -> np.ndarray:
    """(n,) a column as levels: its values, or so many of about equal size."""
    values, code = np.unique(column, return_inverse=True)
    if len(values) <= most:
        return np.ravel(code)
    cuts = np.unique(np.nanquantile(column, np.arange(1, most) / most))
    return np.where(np.isnan(column), len(cuts) + 1, np.searchsorted(cuts, column, side="left"))


def told(
    level: np.ndarray, column: np.ndarray | None, y: np.ndarray, fold: np.ndarray
) -> tuple[float, float, float, float]:
    """The area with which a column alone tells the class that it tells worst, its interval, and the p-value of an area of
    at most ``SURELY``. Scored on rows that were not looked at; a number that rises or falls with the class by its value."""
    classes = int(y.max()) + 1
    score = probes.of_levels(level, y, classes, fold)
    worst = (2.0, NAN, NAN, NAN)
    for k in [1] if classes == 2 else np.unique(y):
        one = (y == k).astype(int)
        found = [intervals.delong(one, score[:, k])]
        if column is not None and classes == 2:
            found += [intervals.delong(one, column), intervals.delong(one, -column)]
        area, low, high = max(found)
        worst = min(worst, (area, low, high, _above(area, low, min(one.sum(), (1 - one).sum()))))
    return worst


def _above(area: float, low: float, pairs: int) -> float:
    """p-value of an area of at most SURELY, on the logit scale of DeLong's interval."""
    from scipy.special import logit, ndtr

    if area >= 1:
        return float(SURELY**pairs)
    if not 0 < low < area:
        return 1.0
    error = (logit(area) - logit(low)) / 1.959963984540054
    return float(ndtr(-(logit(area) - logit(SURELY)) / error)) if error else 1.0


def single(data: Dataset, seed: int) -> list[Found]:
    """Columns that tell the label by themselves, and whether a missing value does."""
    train = data.train
    rows, y = _rows(train, seed)
    fold = probes.dealt_folds(y, FOLDS, resampling.stream(seed, "leakage", "folds"))
    x = train.x[rows]
    if train.schema.modality == "tabular":
        named = [f.name for f in train.schema.features]
        coded = [f.kind == "categorical" for f in train.schema.features]
        lacks = {name: hole for i, name in enumerate(named) if (hole := _holes(train, x, i)).any() and not hole.all()}
        found = [_best(SINGLE, named, x, coded, y, fold, len(named))]
        if not lacks:
            found.append(Found(MISSING, missing="no column has a hole, or a category for what is missing"))
        else:
            holes = np.column_stack(list(lacks.values())).astype(float)
            found.append(_best(MISSING, list(lacks), holes, [True] * len(lacks), y, fold, len(lacks)))
        return found
    named, values, coded, count = _screened(train, x, y)
    nothing = Found(MISSING, missing="no table: there are no columns in which a value could be missing")
    return [_best(SINGLE, named, values, coded, y, fold, count), nothing]


def _rows(train: Split, seed: int) -> tuple[np.ndarray, np.ndarray]:
    some = np.sort(resampling.stream(seed, "leakage", "single").permutation(len(train))[:ROWS])
    return some, np.unique(train.y[some], return_inverse=True)[1]


def _holes(train: Split, x: np.ndarray, i: int) -> np.ndarray:
    feature = train.schema.features[i]
    if feature.kind == "numeric":
        return np.isnan(x[:, i])
    absent = [k for k, name in enumerate(feature.categories) if name.strip().casefold() in ABSENT]
    return np.isin(x[:, i], absent)


def _screened(train: Split, x: np.ndarray, y: np.ndarray) -> tuple[list[str], np.ndarray, list[bool], int]:
    """Of words, pixels or samples the few that tell most classes apart, by how far the classes' means lie apart."""
    if train.schema.modality == "text":
        words = len(train.schema.vocabulary) or int(x.max()) + 1
        flat = np.zeros((min(len(x), max(1, 50_000_000 // words)), words), np.float32)
        at, place = np.nonzero(x[: len(flat)])
        flat[at, x[at, place]] = 1
        y, names = y[: len(flat)], [f"the word {w!r}" for w in train.schema.vocabulary]
    else:
        flat = x.reshape(len(x), -1)
        names = [f"value {', '.join(map(str, np.unravel_index(i, x.shape[1:])))}" for i in range(flat.shape[1])]
    mean = np.stack([flat[y == k].mean(0) for k in np.unique(y)])
    spread = np.sqrt(np.mean([flat[y == k].var(0) for k in np.unique(y)], 0)) + 1e-9 * flat.std()
    best = np.argsort(-mean.std(0) / np.maximum(spread, 1e-12), kind="stable")[:SCREENED]
    if len(flat) < len(x):
        full = np.stack([(x == w).any(1) for w in best], 1).astype(np.float64)
    else:
        full = flat[:, best].astype(np.float64)
    coded = [train.schema.modality == "text"] * len(best)
    return [names[i] if i < len(names) else f"word {i}" for i in best], full, coded, flat.shape[1]


def _best(
    kind: str, names: Sequence[str], x: np.ndarray, coded: Sequence[bool], y: np.ndarray, fold: np.ndarray, count: int
) -> Found:
    """The column that tells the label best, with Holm's correction for as many columns as there are."""
    if y.max() < 1:
        return Found(kind, missing="training rows of one class")
    found = []
    for column, code in zip(x.T, coded):
        whole = None if code or np.isnan(column).any() else column
        found.append(told(levels(column), whole, y, fold))
    at = int(np.argmax([f[0] for f in found]))
    area, low, high, p = found[at]
    name = probes.tells(x[:, at], y) if kind == SINGLE else ""
    note = {"the attribute": "it is the label under another name", "determines it": "each of its values has one label"}
    return Found(
        kind, names[at], 0, len(y), area, low, high, 0.5, min(1.0, p * count), note.get(name, f"of {count} columns")
    )


def order(data: Dataset, seen: Sequence[Column]) -> Found:
    """Whether a row's place in the training data tells its label, and whether a column tells the place."""
    from scipy.stats import spearmanr

    y = np.unique(data.train.y, return_inverse=True)[1]
    place = np.arange(len(y))
    if y.max() < 1:
        return Found(ORDER, missing="training rows of one class")
    level = place * 20 // len(y)
    fold = place % FOLDS
    score = probes.of_levels(level, y, int(y.max()) + 1, fold)
    areas = [intervals.delong((y == k).astype(int), score[:, k]) for k in range(int(y.max()) + 1)]
    area, low, high = max(areas)
    follows = []
    for column in seen:
        counts = column.seen and column.train.dtype.kind in "fiu" and len(np.unique(column.train)) > len(y) / 2
        if counts and abs(float(spearmanr(place, column.train.astype(float)).statistic)) > 0.99:
            follows.append(column.name)
    note = "a column that a model sees goes with the row's place" if follows else "no column goes with the row's place"
    p = min(1.0, probes.independent(level, y, int(y.max()) + 1))
    return Found(ORDER, ", ".join(follows[:3]), len(follows), len(y), area, low, high, 0.5, p, note)


def apart(readings: Sequence[tuple[str, np.ndarray, np.ndarray, bool]], seed: int) -> Found:
    """The reading (name, train, test, coded) that tells test from training rows best, by itself, with Holm's correction."""
    from scipy.special import logit, ndtr

    found = []
    for name, train, test, coded in readings:
        stream = resampling.stream(seed, "leakage", "apart", name)
        parts = [v[np.sort(stream.permutation(len(v))[:ROWS])] for v in (train, test)]
        column = np.concatenate(parts)
        y = np.repeat([0, 1], [len(v) for v in parts])
        fold = probes.dealt_folds(y, FOLDS, stream)
        level = levels(column) if not coded else np.unique(column, return_inverse=True)[1]
        area, low, high = intervals.delong(y, probes.of_levels(level, y, 2, fold)[:, 1])
        error = (logit(area) - logit(low)) / 1.959963984540054 * refitted(FOLDS) if 0 < low < area < 1 else 0.0
        p = float(ndtr(-logit(area) / error)) if error else float(0.5 ** min(np.bincount(y))) if area >= 1 else 1.0
        found.append((area, low, high, p, name, len(y)))
    area, low, high, p, name, n = max(found)
    return Found(APART, name, 0, n, area, low, high, 0.5, min(1.0, p * len(found)), f"of {len(found)} readings")
