"""Calibration in groups of people, beside what calibration would show in each, and beside one curve for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from labkit.analyses._groups.between import NAN, apart, listed, nothing_apart, tables
from labkit.analyses._groups.grouping import Grouping
from labkit.analyses._groups.reliability import Scores, by_score, drawn, errors, isotonic
from labkit.core import intervals, resampling
from labkit.records.calibration import MEASURES, CalibrationByGroup

# Draws in a group take its scores in so many levels; its curve is stated at so many.
LEVELS, POINTS = 256, 26
PER_GROUP = (
    *("stated", "happened", "excess", "excess_low", "excess_high", "ece", "ece_low", "ece_high", "ece95", "p"),
    *("score", "frequency"),
)


def by_group(
    chance: np.ndarray, happened: np.ndarray, features: Sequence[Grouping], least: int, replicates: int, seed: int
) -> CalibrationByGroup:
    """(n,) probabilities and whether the event happened, in the groups of each feature."""
    groups, columns = [], []
    for feature in features:
        members = [feature.code == g for g in range(len(feature.groups))]
        ranked = feature.counts() >= max(least, 1)
        stream = resampling.stream(seed, "calibration", feature.name)
        found = [_group(chance[rows], happened[rows], replicates, stream) for rows in members]
        groups += [one | {"ranked": large} for one, large in zip(found, ranked)]
        columns.append(_apart(chance, happened, members, found, ranked, replicates, stream))
    between = tables([[column[m] for column in columns] for m in MEASURES], features)
    between["p_apart"], between["p_apart_holm"] = between.pop("p"), between.pop("p_holm")
    each: dict[str, Any] = {name: np.array([one[name] for one in groups]) for name in (*PER_GROUP, "ranked")}
    for end in ("ece_low", "ece_high"):  # a bootstrap of few people does not cover
        each[end] = np.where(each["ranked"], each[end], NAN)
    p_holm = intervals.holm(np.where(each["ranked"], each["p"], NAN))
    return CalibrationByGroup(least=least, p_holm=p_holm, **listed(features), **each, **between)


def _group(chance: np.ndarray, happened: np.ndarray, replicates: int, generator: np.random.Generator) -> dict[str, Any]:
    if not len(chance):
        nothing = np.full(POINTS, NAN)
        empty = {"draws": np.full(replicates, NAN), "score": nothing, "frequency": nothing}
        return dict.fromkeys(PER_GROUP, NAN) | empty
    whole = by_score(chance, happened)
    points = np.quantile(whole.value, np.linspace(0, 1, POINTS))
    scores = by_score(resampling.coarse(chance, LEVELS), happened)
    ece = float(errors(whole.value, (whole.n - whole.hits)[None], whole.hits[None])[0])
    null = _drawn_errors(scores, drawn(scores, scores.value, replicates, generator))
    cells = np.concatenate([scores.n - scores.hits, scores.hits])
    resampled = np.split(resampling.bootstrap_counts(cells, replicates, generator), 2, axis=1)
    draws = errors(scores.value, *resampled)
    excess, (low, high) = happened - chance, intervals.paired_mean(happened - chance)
    ends = _within(resampling.bias_corrected(draws, ece), ece)
    return {
        "stated": float(chance.mean()),
        "happened": float(happened.mean()),
        "excess": float(excess.mean()),
        "excess_low": float(low),
        "excess_high": float(high),
        "ece": ece,
        "ece_low": ends[0],
        "ece_high": ends[1],
        "ece95": float(np.quantile(null, 0.95)),
        "p": resampling.share_as_large(null, ece),
        "score": points,
        "frequency": np.interp(points, whole.value, isotonic(whole.hits, whole.n)),
        "draws": draws,
    }


def _drawn_errors(scores: Scores, drawn: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([errors(scores.value, scores.n - hits, hits) for hits in drawn])


def _within(ends: tuple[float, float], value: float) -> tuple[float, float]:
    return max(0.0, min(ends[0], value)), min(1.0, max(ends[1], value))


def _apart(
    chance: np.ndarray,
    happened: np.ndarray,
    members: Sequence[np.ndarray],
    found: Sequence[dict[str, Any]],
    ranked: np.ndarray,
    replicates: int,
    generator: np.random.Generator,
) -> dict[str, dict[str, Any]]:
    """How far the ranked groups are apart in each measure, beside groups of which one curve holds."""
    at = np.flatnonzero(ranked).tolist()
    if len(at) < 2:
        return dict.fromkeys(MEASURES, nothing_apart())
    known = np.any([members[g] for g in at], axis=0)
    together = by_score(chance[known], happened[known])
    curve = isotonic(together.hits, together.n)
    null: dict[str, list[np.ndarray]] = {m: [] for m in MEASURES}
    for g in at:
        scores = by_score(resampling.coarse(chance[members[g]], LEVELS), happened[members[g]])
        shared = np.interp(scores.value, together.value, curve)
        hits = list(drawn(scores, shared, replicates, generator))
        null["calibration error"].append(_drawn_errors(scores, hits))
        null["excess"].append((np.concatenate(hits).sum(1) - scores.n @ scores.value) / scores.n.sum())
    sizes = np.array([members[g].sum() for g in at])

    def excess(level: float) -> tuple[np.ndarray, np.ndarray]:
        ends = [intervals.paired_mean(happened[members[g]] - chance[members[g]], level) for g in at]
        return np.array(ends).T[0], np.array(ends).T[1]

    def error(level: float) -> tuple[np.ndarray, np.ndarray]:
        ends = [
            _within(resampling.bias_corrected(found[g]["draws"], found[g]["ece"], level), found[g]["ece"]) for g in at
        ]
        return np.array(ends).T[0], np.array(ends).T[1]

    parts = {}
    for name, field, interval in (("excess", "excess", excess), ("calibration error", "ece", error)):
        value = np.array([found[g][field] for g in at])
        part = apart(value, interval, sizes, np.column_stack(null[name]))
        parts[name] = part | {end: at[part[end]] for end in ("highest", "lowest")}
    return parts
