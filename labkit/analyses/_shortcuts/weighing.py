"""What one cue tells of labels and answers, and how answers change when it is exchanged: from counts where they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from labkit.analyses._groups import probes
from labkit.analyses._shortcuts.reading import Reading
from labkit.core import intervals, resampling
from labkit.data.split import Split

DRAWS = 200
# Rows from which a level may be the one that is followed, and levels that are tried.
FEWEST = 20
TRIED = 6
NAN = float("nan")


def weighed(
    cue: Reading, y_train: np.ndarray, y: np.ndarray, proba: np.ndarray, least: int, generator: Any
) -> tuple[dict[str, float], str, np.ndarray]:
    """One cue's entries of the record, the name of its worst group, and (levels,) its answers."""
    label, classes, known = proba.argmax(1), proba.shape[1], cue.train >= 0
    p = probes.independent(cue.train[known], y_train[known], classes)
    levels = len(cue.names)
    table = np.bincount(cue.train[known] * classes + y_train[known], minlength=levels * classes).reshape(
        levels, classes
    )
    prior = np.bincount(y_train, minlength=classes) / len(y_train)
    answers = np.where(table.sum(1) > 0, table.argmax(1), prior.argmax())
    inside = cue.test >= 0
    says = np.where(inside, answers[cue.test], prior.argmax())
    agrees, right = says == y, label == y
    alone = _share(agrees)
    ends = _wilson(agrees)
    counts = np.array([agrees.sum(), (~agrees).sum()])
    hits = np.array([right[agrees].sum(), right[~agrees].sum()])
    low, high = intervals.newcombe(hits[0], counts[0], hits[1], counts[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        side = hits / counts
    if len(np.unique(says)) < 2:  # where a cue says one class only, those are the accuracies of the classes
        side, low, high = np.full(2, NAN), np.array(NAN), np.array(NAN)
    top = (y == prior.argmax()).astype(int)
    found = {
        "p": p,
        "alone": alone,
        "alone_low": ends[0],
        "alone_high": ends[1],
        "agree": counts[0],
        "disagree": counts[1],
        "right": side[0],
        "wrong": side[1],
        "gap": side[0] - side[1],
        "gap_low": float(low),
        "gap_high": float(high),
    }
    found |= _shares(agrees, right, top, generator)
    found |= _excess(cue.test[inside], y[inside], proba[inside], levels, generator)
    worst, group = _worst(cue, y, right, classes, least)
    return found | worst, group, answers


def _share(hit: np.ndarray) -> float:
    return float(hit.mean())


def _wilson(hit: np.ndarray) -> tuple[float, float]:
    low, high = intervals.wilson(hit.sum(), len(hit))
    return float(low), float(high)


def _shares(agrees: np.ndarray, right: np.ndarray, top: np.ndarray, generator: Any) -> dict[str, float]:
    """How much of the model's lead over the majority's share the cue has, from the eight counts of who is right."""
    cells = np.bincount(agrees * 4 + right * 2 + top, minlength=8)
    place = np.arange(8)

    def share(counts: np.ndarray) -> np.ndarray:
        cue, model, most = (counts[..., (place >> bit) & 1 == 1].sum(-1) for bit in (2, 1, 0))
        lead = (model - most).astype(float)
        return np.divide(cue - most, lead, out=np.full(lead.shape, NAN), where=lead > 0)

    value = float(share(cells[None])[0])
    low, high = resampling.bias_corrected(share(resampling.bootstrap_counts(cells, DRAWS, generator)), value)
    return {"share": value, "share_low": low, "share_high": high}


def _excess(level: np.ndarray, y: np.ndarray, proba: np.ndarray, levels: int, generator: Any) -> dict[str, float]:
    """Cramer's V of probabilities less that of labels, on the same rows. Probabilities that are right on average at each
    level give 0; answers would not, since the most probable class goes with a cue more than labels do."""
    n, classes = proba.shape
    at, rows = np.zeros((n, levels)), np.arange(n)
    at[rows, level] = 1
    known = np.zeros((n, classes))
    known[rows, y] = 1
    cells = [(at[:, :, None] * v[:, None]).reshape(n, -1) for v in (proba, known)]
    weight = np.vstack([np.ones(n), resampling.bootstrap_counts(np.ones(n, np.int64), DRAWS, generator)])
    told, own = (_cramer((weight @ c).reshape(-1, levels, classes)) for c in cells)
    value = float(told[0] - own[0])
    low, high = resampling.bias_corrected(told[1:] - own[1:], value)
    return {"excess": value, "excess_low": low, "excess_high": high}


def _cramer(tables: np.ndarray) -> np.ndarray:
    n = tables.sum((1, 2), keepdims=True)
    expected = tables.sum(2, keepdims=True) * tables.sum(1, keepdims=True) / n
    squared = np.divide((tables - expected) ** 2, expected, out=np.zeros_like(tables), where=expected > 0).sum((1, 2))
    least = np.minimum((tables.sum(2) > 0).sum(1), (tables.sum(1) > 0).sum(1)) - 1
    return np.asarray(np.sqrt(np.divide(squared / n[:, 0, 0], least, out=np.zeros(len(n)), where=least > 0)))


def _worst(cue: Reading, y: np.ndarray, right: np.ndarray, classes: int, least: int) -> tuple[dict[str, float], str]:
    """The least accuracy over levels and labels of enough rows."""
    inside = cue.test >= 0
    key = cue.test[inside] * classes + y[inside]
    size = len(cue.names) * classes
    n, hits = np.bincount(key, minlength=size), np.bincount(key, right[inside], size)
    fit = np.flatnonzero(n >= least)
    if not len(fit):
        return {"worst": NAN, "worst_low": NAN, "worst_high": NAN, "worst_n": 0}, ""
    at = int(fit[(hits[fit] / n[fit]).argmin()])
    low, high = intervals.wilson(hits[at], n[at])
    found = {"worst": hits[at] / n[at], "worst_low": float(low), "worst_high": float(high), "worst_n": int(n[at])}
    return found, f"{at % classes}:{cue.names[at // classes]}"


def followed(
    cue: Reading,
    answers: np.ndarray,
    train: Split,
    x: np.ndarray,
    label: np.ndarray,
    answer: Callable[[np.ndarray], np.ndarray],
    generator: np.random.Generator,
) -> dict[str, float]:
    """How often an answer becomes what a cue says that is taken from a training row, beyond how often it becomes that with a
    cue that says something else: at the level where that is surest, its interval wide enough for all levels tried."""
    nothing = {"follow": NAN, "follow_low": NAN, "follow_high": NAN, "follow_class": -1}
    says = np.where(cue.train >= 0, answers[cue.train], -1)
    if cue.exchange is None or len(np.unique(says[says >= 0])) < 2:
        return nothing
    tried = _purest(cue.train, train.y, answers)
    # each row is asked for one level; those that have its class already cannot turn to it
    level = tried[generator.integers(len(tried), size=len(x))]
    rows = np.flatnonzero(answers[level] != label)
    wanted = answers[level[rows]]
    donors, others = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    for v in tried:
        at = level[rows] == v
        donors[at] = generator.choice(np.flatnonzero(cue.train == v), at.sum())
        others[at] = generator.choice(np.flatnonzero((says != answers[v]) & (says >= 0)), at.sum())
    if not len(rows):
        return nothing
    became, without = (answer(cue.exchange(x[rows], train.x[source])) == wanted for source in (donors, others))
    best = (NAN, NAN, NAN, -1)
    for v in tried:
        at = level[rows] == v
        if at.sum() >= FEWEST:
            yes, no = (became & ~without)[at].sum(), (without & ~became)[at].sum()
            low, high = intervals.paired(yes, no, at.sum(), 1 - 0.05 / len(tried))
            one = (float((yes - no) / at.sum()), float(low), float(high), int(answers[v]))
            best = one if best[3] < 0 or one[1] > best[1] else best
    return dict(zip(("follow", "follow_low", "follow_high", "follow_class"), best))


def _purest(level: np.ndarray, y: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """The few levels that most surely go with one label in training."""
    known = level >= 0
    n = np.bincount(level[known], minlength=len(answers))
    hits = np.bincount(level[known], y[known] == answers[level[known]], len(answers))
    low = np.where(n > 0, intervals.wilson(hits, np.maximum(n, 1))[0], -1.0)
    order = np.argsort(-low, kind="stable")
    return order[low[order] >= 0][:TRIED]
