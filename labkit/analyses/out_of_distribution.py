"""Does a model notice inputs unlike those that it knows?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from labkit.analyses._guard import DEFAULT_BATCH, Run, as_split, unchanged
from labkit.analyses._preflight import preflight
from labkit.analyses._unfamiliar.familiarity import Score
from labkit.analyses._unfamiliar.rows import MADE, Given, Shift, Source, listed, one_of_each_family
from labkit.analyses._unfamiliar.scored import Seen, judge_of
from labkit.analyses.predict import row_hashes
from labkit.core import intervals, resampling
from labkit.core.draws import Draws
from labkit.core.refused import Refused
from labkit.corruptions._applying import Ground
from labkit.corruptions._severity import SEVERITIES
from labkit.data.split import Dataset, Split
from labkit.models.classifier import Classifier
from labkit.records.out_of_distribution import OutOfDistribution

ASKED = "out_of_distribution"
LEAST = 20  # rows of each half
DRAWS = 4000
SURE = 0.005  # how often sound halves may be told apart by any of the scores
CELLS = ("auroc", "low", "high", "accepted", "accepted_low", "accepted_high")


def out_of_distribution(
    model: Classifier,
    data: Split | Dataset,
    *,
    near: Given | Sequence[Given] | None = None,
    far: Given | Sequence[Given] | None = None,
    scores: Sequence[str | Score] | None = None,
    background: Split | None = None,
    severity: int = 3,
    layer: str = "",
    k: int = 10,
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
) -> OutOfDistribution:
    """How well scores of familiarity tell known rows from near and far shifts, with intervals, beside a control.

    The rows are dealt in two halves. One stays as it is; shifts are made from the other, so that no row stands on both
    sides. Unchanged, the other half is the control: a score that tells it from the first is broken, and the result is
    contradicted. Nothing is tuned on the shifts: scores of logits have no settings, those of features know the background
    alone, and ``k`` is fixed.

    Args:
        data: rows such as the model knows, but was not trained on; of a data set the test part, with the training part as
            the background.
        near, far: splits (of any classes), names of corruptions or corruptions of the user's own, "uniform_noise",
            "shuffled". None takes one corruption of each family that fits for near, and both of the made ones for far.
        scores: "max_probability", "max_logit", "energy", "entropy", of the logits; "mahalanobis" and "neighbors", of the
            features of a layer beside those of up to 2000 background rows; functions of (n, classes) logits that give
            (n,) numbers, higher for the more familiar. None takes all that can be had.
        background: labelled rows that the model was trained on.
        severity: of corruptions, from 1 to 5.
        layer: a submodule by name, "outputs", or "head" (what the last linear layer takes in), also when empty.
        k: whose distance counts for "neighbors".

    Raises:
        Refused: whatever preflight finds; fewer than 40 rows; an unknown score, shift or layer; a score of features
            without a background; a score that gives no numbers.
    """
    split, usual = (data.test, data.train) if isinstance(data, Dataset) else (data, None)
    usual = usual if background is None else background
    if not isinstance(split, Split):
        raise Refused(ASKED, f"a {type(split).__name__}", "a Split, such as data.test, or a data set")
    if severity not in SEVERITIES or isinstance(severity, bool):
        raise Refused(f"{ASKED} at severity {severity!r}", repr(severity), "a severity from 1 to 5")
    x, y, about = as_split(split, model)
    options = {"severity": severity, "layer": layer, "k": k, "background": None if usual is None else usual.name}
    run = Run(ASKED, options, seed, model, about, batch_size)
    asked = f"{ASKED} on {model.name}"
    preflight(run, model, x, y)
    if len(split) < 2 * LEAST:
        raise Refused(asked, f"{len(split)} rows", f"{2 * LEAST} or more: they are dealt in two halves")
    known, held = np.array_split(resampling.stream(seed, ASKED, "halves").permutation(len(split)), 2)
    ground = Ground(split.schema, model.bounds or split.schema.bounds, (split if usual is None else usual).x)
    source = Source(model, split[held], Draws(seed, len(split))[held], ground, int(severity))
    shifts = _shifts(asked, source, near, far)
    with unchanged(model):
        judge = judge_of(run, asked, scores, usual, split, layer, k)
        own = judge.seen("the known rows", Shift("", False, len(known), lambda rows: x[known[rows]]))
        other = judge.seen("the control", Shift("", False, len(held), lambda rows: x[held[rows]]))
        seen = [judge.seen(shift.name, shift) for shift in shifts]
    if np.isnan(own.scores).any() or np.isnan(other.scores).any():
        raise Refused(asked, "answers or scores that are not finite on known rows", "finite ones on every row")
    _warn_of(run, shifts, seen, row_hashes(x[known]))
    pairs = zip(judge.names, own.scores.T)
    cells = [[_told(a, b.scores[:, i], seed, name) for b in seen] for i, (name, a) in enumerate(pairs)]
    control = np.array([_area(a, b) for a, b in zip(own.scores.T, other.scores.T)])
    elsewhere = {s.name: s.split for s in shifts if s.split} | ({} if usual is None else {"background": usual})
    sources = {"rows": about, **{name: found.describe() for name, found in elsewhere.items()}}
    reason = _apart(judge.names, own, other)
    return OutOfDistribution(
        provenance=replace(run.provenance(), options={**options, "scores": list(judge.names)}, data=sources),
        status="contradicted" if reason else "measured",
        reason=reason,
        warnings=tuple(run.warnings),
        scores=judge.names,
        shifts=tuple(s.name for s in shifts),
        far=np.array([s.far for s in shifts]),
        n=np.array([(~np.isnan(a.scores).any(1)).sum() for a in seen]),
        known=len(known),
        held=len(held),
        **dict(zip(CELLS, np.moveaxis(np.array(cells), -1, 0))),
        **dict(zip(("control", "control_low", "control_high"), control.T)),
        accuracy=np.array([np.nan if s.y is None else (a.label == s.y).mean() for s, a in zip(shifts, seen)]),
        confidence=np.array([a.mean_confidence for a in seen]),
        known_accuracy=float((own.label == split.y[known]).mean()),
        known_confidence=own.mean_confidence,
        layer=judge.layer.name if judge.layer else "",
        neighbor=k if "neighbors" in judge.names else 0,
        background=judge.compared,
        severity=int(severity),
    )


def _shifts(asked: str, source: Source, near: Any, far: Any) -> list[Shift]:
    close = one_of_each_family(source) if near is None else listed(asked, near)
    found = [source.shift(asked, given, far=False) for given in close]
    found += [source.shift(asked, given, far=True) for given in (MADE if far is None else listed(asked, far))]
    names = [s.name for s in found]
    if not names or len(set(names)) < len(names):
        raise Refused(f"{asked} against {', '.join(names) or 'nothing'}", "no shift, or two of one name", "each once")
    return found


def _warn_of(run: Run, shifts: Sequence[Shift], seen: Sequence[Seen], known: np.ndarray) -> None:
    for shift, found in zip(shifts, seen):
        lost = int((found.label < 0).sum())
        if lost:
            run.warn(f"{lost} answers or scores on {shift.name} are not finite; these rows are left out")
        shared = 0 if shift.split is None else int(np.isin(row_hashes(shift.split.x), known).sum())
        if shared:
            run.warn(f"{shared} rows of {shift.name} are among the known rows, from which no score can tell them")


def _area(known: np.ndarray, shifted: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    shifted = shifted[~np.isnan(shifted)]
    y = np.concatenate([np.ones(len(known)), np.zeros(len(shifted))])
    return intervals.delong(y, np.concatenate([known, shifted]), level)


def _told(known: np.ndarray, shifted: np.ndarray, seed: int, name: str) -> tuple[float, ...]:
    return *_area(known, shifted), *accepted(known, shifted[~np.isnan(shifted)], resampling.stream(seed, ASKED, name))


def accepted(known: np.ndarray, shifted: np.ndarray, generator: np.random.Generator) -> tuple[float, float, float]:
    """The share of shifted scores that pass where 95 % of the known ones do, with its interval.

    The threshold is a rank among the known scores. Its own uncertainty enters as a bootstrap's: that rank of a resample is
    a known score whose place is a beta variable's. The share at a threshold is drawn from Jeffreys' distribution, so that
    the interval does not collapse at 0 or 1.
    """
    n, m = len(known), len(shifted)
    if not m:
        return (float("nan"),) * 3
    ranked, rank = np.sort(known), int(0.05 * len(known))
    above = m - np.searchsorted(np.sort(shifted), ranked, side="left")
    place = np.minimum((generator.beta(rank + 1, n - rank, DRAWS) * n).astype(int), n - 1)
    drawn = generator.beta(above[place] + 0.5, m - above[place] + 0.5)
    value, (low, high) = above[rank] / m, np.quantile(drawn, (0.025, 0.975))
    return float(value), float(min(low, value)), float(max(high, value))


def _apart(names: Sequence[str], own: Seen, other: Seen) -> str:
    """Why the control fails; empty where no score tells the halves of the same rows apart."""
    for name, a, b in zip(names, own.scores.T, other.scores.T):
        area, low, high = _area(a, b, 1 - SURE / len(names))
        if not low <= 0.5 <= high:
            return (
                f"by {name} one half of the same rows is told from the other (AUROC {area:.2f}, where 0.5 is expected), so "
                "that the score tells more than how familiar a row is"
            )
    return ""
