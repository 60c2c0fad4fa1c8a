"""The impossibility results spelled out for these data: what can be equal at once, and what it costs."""

from __future__ import annotations

from typing import Any

import numpy as np

from labkit.analyses._groups.equalized import CRITERIA, Curves, implied
from labkit.analyses._groups.grouping import Grouping, grouping
from labkit.analyses._predicted import Statement, positive_class
from labkit.core import intervals, progress, resampling
from labkit.core.refused import Refused
from labkit.records.predict import Predictions
from labkit.records.trade_offs import TradeOffs

ASKED = "trade_offs"
# Scores are taken in so many levels of about equal size; between them a cut is shared.
LEVELS = 40
AS_GIVEN, ONE = "as given", "one threshold"
NAN = float("nan")


def trade_offs(
    p: Predictions,
    by: str | tuple[str, ...],
    *,
    positive: int | str | None = None,
    least: int = 30,
    least_of: int = 10,
    seed: int = 0,
    replicates: int = 500,
) -> TradeOffs:
    """What gaps between groups remain, and how much accuracy, when one rate is made equal by thresholds of each group.

    Where base rates differ, no answers but perfect ones have equal precision, equal true and equal false positive rates
    (Chouldechova, 2017, arXiv 1610.07524; Kleinberg, Mullainathan and Raghavan, 2016, arXiv 1609.05807). Each row makes
    one rate equal, exactly, at the level where most answers are right (chosen on these people), and says what the other
    rates then are. Rows of two rates follow from the base rates alone, whatever the scores: at the rates that all people
    have together as answered now. Predictions without probabilities have these rows only.

    Args:
        by: a sensitive feature, or a tuple of several for their intersection.
        positive: the class that counts as positive; may be left out when the classes are 0 and 1.
        least, least_of: groups of fewer people, or with fewer of either class, are left out by name.
        replicates: bootstrap draws within groups, and permutations of groups.

    Raises:
        Refused: an unknown feature, no positive class named, predictions without truth.
    """
    options = {"by": by, "positive": positive, "least": least, "least_of": least_of, "replicates": replicates}
    statement = Statement(ASKED, options, seed, {"data": p}, counted=True)
    if replicates < 100:
        raise Refused(f"{ASKED} with replicates={replicates}", "too few for a 95 % point", "replicates=100 or more")
    index = positive_class(ASKED, p, positive)
    groups, truth = grouping(ASKED, p, by), p.y == index
    n, positives = groups.counts(), groups.counts(truth)
    fit = (n >= least) & (np.minimum(positives, n - positives) >= least_of)
    chosen = np.flatnonzero(fit)
    about: dict[str, Any] = {
        "warnings": p.warnings,
        "positive": p.classes[index],
        "feature": groups.name,
        "n_total": p.people,
        "unknown": groups.unknown,
        "left_out": tuple(f"{groups.groups[g]} (n = {n[g]})" for g in np.flatnonzero(~fit)),
        "replicates": replicates,
        "metrics": CRITERIA,
    }
    if len(chosen) < 2:
        reason = _reason(groups, least, least_of)
        made = statement.provenance()
        return TradeOffs(provenance=made, status="not_measured", reason=reason, **about, **_nothing())
    scores, table = _table(p, index, groups, chosen, truth)
    streams = {k: resampling.stream(seed, ASKED, groups.name, k) for k in ("bootstrap", "null")}
    drawn = _bootstrap(table, replicates, streams["bootstrap"])
    flat = table.reshape(len(chosen), -1)
    null = resampling.permuted_tables(flat, replicates, streams["null"]).reshape(-1, *table.shape)
    matrix = _matrix(table, drawn, null, scores)
    return TradeOffs(
        provenance=statement.provenance(),
        group=np.array([groups.groups[g] for g in chosen]),
        **about,
        **_base(n[chosen], positives[chosen], null),
        **matrix,
    )


def _reason(groups: Grouping, least: int, least_of: int) -> str:
    return (
        f"fewer than two groups of {groups.name} have {least} people and {least_of} of either class, which is what it "
        "takes to compare their error rates"
    )


def _nothing() -> dict[str, Any]:
    shapes: dict[str, tuple[int, ...]] = {
        "group": (0,),
        "n": (0,),
        "positives": (0,),
        "base_rate": (0,),
        "base_low": (0,),
        "base_high": (0,),
    }
    shapes |= dict.fromkeys(("by_thresholds", "by_algebra"), (0,))
    shapes |= {f"{k}{end}": (0,) for k in ("accuracy", "cost") for end in ("", "_low", "_high")}
    shapes |= {"value": (0, len(CRITERIA), 0), "threshold": (0, 0), "null95": (0, len(CRITERIA))}
    shapes |= {f"gap{end}": (0, len(CRITERIA)) for end in ("", "_low", "_high")}
    single = ("base_difference", "base_difference_low", "base_difference_high", "base_null95", "base_p")
    return {"equal": (), **dict.fromkeys(single, NAN), **{k: np.zeros(shape) for k, shape in shapes.items()}}


def _table(
    p: Predictions, index: int, groups: Grouping, chosen: np.ndarray, truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The scores' levels from the highest down, and people by (group, level, answer, truth)."""
    score = np.zeros(len(p)) if p.proba is None else resampling.coarse(p.proba[:, index].astype(float), LEVELS)
    levels, place = np.unique(-score, return_inverse=True)
    place_of = np.full(len(groups.groups) + 1, -1)
    place_of[chosen] = np.arange(len(chosen))
    group = place_of[groups.code]
    known = group >= 0
    shape = (len(chosen), len(levels), 2, 2)
    code = np.ravel_multi_index((group[known], place[known], (p.label == index)[known] * 1, truth[known] * 1), shape)
    weight = None if p.count is None else p.count[known]
    table = np.bincount(code, weight, int(np.prod(shape))).astype(np.int64).reshape(shape)
    return (-levels if p.proba is not None else np.zeros(0)), table


def _bootstrap(table: np.ndarray, replicates: int, generator: np.random.Generator) -> np.ndarray:
    """(replicates, *table.shape) draws within each group."""
    drawn = [resampling.bootstrap_counts(t.ravel(), replicates, generator) for t in table]
    return np.stack(drawn, 1).reshape(replicates, *table.shape)


def _base(n: np.ndarray, positives: np.ndarray, null: np.ndarray) -> dict[str, Any]:
    """Base rates, and whether they differ by more than chance."""
    rate, (low, high) = positives / n, intervals.wilson(positives, n)
    ends = intervals.largest_difference(positives, n)
    dealt = null[..., 1].sum((2, 3)) / n
    surest, scaled = resampling.surest(rate, n)[0], resampling.surest(dealt, n)[0]
    exact = len(n) == 2
    return {
        "n": n, "positives": positives, "base_rate": rate, "base_low": low, "base_high": high,
        "base_difference": float(np.ptp(rate)), "base_difference_low": ends[0], "base_difference_high": ends[1],
        "base_null95": float(np.quantile(np.ptp(dealt, axis=1), 0.95)),
        "base_p": resampling.exact_difference(positives, n) if exact else resampling.share_as_large(scaled, float(surest)),
    }  # fmt: skip


def _matrix(table: np.ndarray, drawn: np.ndarray, null: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """Every row of what is made equal: rates and gaps as observed, in bootstrap draws, and in permutations."""
    levels = {c: Curves(_by_score(table[None])).levels(c) for c in CRITERIA} if len(scores) else {}
    found = []
    for i, tables in enumerate((table[None], drawn, null)):
        progress.step(ASKED, i, 3)
        found.append(_answers(tables, levels))
    progress.step(ASKED, 3, 3)
    (names, value, accuracy, cuts), (_, values, accuracies, _), (_, nulls, _, _) = found
    value, accuracy, cuts = value[0], accuracy[0], cuts[0]
    gap = resampling.spread(value)
    equal = np.array([[m in name.split(" + ") for m in CRITERIA] for name in names])
    low, high = np.zeros(gap.shape), np.zeros(gap.shape)
    for r, m in np.argwhere(~equal):
        seen = values[~np.isnan(values[:, r, m]).any(1), r, m]
        defined = len(seen) > len(values) / 2 and not np.isnan(value[r, m]).any()
        low[r, m], high[r, m] = resampling.largest_difference(seen, value[r, m]) if defined else (NAN, NAN)
    known = ~np.isnan(gap)
    against = names.index(ONE) if ONE in names else 0
    costs, cost = accuracies - accuracies[:, [against]], accuracy - accuracy[against]
    ends = np.array([resampling.bias_corrected(a, v) for a, v in zip(accuracies.T, accuracy)])
    cost_ends = np.array([resampling.bias_corrected(c, v) for c, v in zip(costs.T, cost)])
    cost_ends[against] = 0
    pairs = np.array([" + " in name for name in names])
    cost, cost_ends = np.where(pairs, NAN, cost), np.where(pairs[:, None], NAN, cost_ends)
    with np.errstate(invalid="ignore"):
        beyond = np.array([[_quantile(nulls[:, r, m]) for m in range(len(CRITERIA))] for r in range(len(names))])
    return {
        "equal": tuple(names), "value": value,
        "by_thresholds": ~np.isnan(cuts).all(1), "by_algebra": pairs,
        "gap": np.where(equal & known, 0.0, gap), "gap_low": np.where(known, low, NAN), "gap_high": np.where(known, np.minimum(high, 1), NAN),
        "null95": np.where(equal, 0.0, beyond), "threshold": _thresholds(cuts, scores),
        "accuracy": accuracy, "accuracy_low": ends[:, 0], "accuracy_high": ends[:, 1],
        "cost": cost, "cost_low": cost_ends[:, 0], "cost_high": cost_ends[:, 1],
    }  # fmt: skip


def _quantile(draws: np.ndarray) -> float:
    far = resampling.spread(draws)
    far = far[~np.isnan(far)]
    return float(np.quantile(far, 0.95)) if len(far) else NAN


def _by_score(tables: np.ndarray) -> np.ndarray:
    return tables.sum(3)


def _answers(tables: np.ndarray, levels: dict[str, np.ndarray]) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Rows' names, (draws, rows, metrics, groups) rates, (draws, rows) accuracy over all, (draws, rows, groups) cuts."""
    people = tables.sum((2, 3, 4)).astype(float)
    positives = tables[..., 1].sum((2, 3)).astype(float)
    taken = tables[..., 1, :].sum(2).astype(float)
    rows = {AS_GIVEN: (taken[..., 1], taken[..., 0])}
    cuts = {AS_GIVEN: np.full(people.shape, NAN)}
    if levels:
        curves = Curves(_by_score(tables))
        cuts |= {ONE: curves.one_threshold(), **{c: curves.equalized(c, levels[c]) for c in CRITERIA}}
        rows |= {name: curves.at(cut) for name, cut in cuts.items() if name != AS_GIVEN}
    false, true = taken.sum(1, keepdims=True)[..., 0], taken.sum(1, keepdims=True)[..., 1]
    everyone, all_positive = people.sum(1, keepdims=True), positives.sum(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        pairs = implied(
            positives / people, true / all_positive, false / (everyone - all_positive), true / (true + false)
        )
        rows |= {" + ".join(pair): (t * people, f * people) for pair, (t, f) in pairs.items()}
        rates = [_rates(t, f, positives, people) for t, f in rows.values()]
    value = np.stack([r for r, _ in rates], 1)
    accuracy = np.stack([right.sum(-1) / everyone[:, 0] for _, right in rates], 1)
    none = np.full(people.shape, NAN)
    return list(rows), value, accuracy, np.stack([cuts.get(name, none) for name in rows], 1)


def _rates(
    true: np.ndarray, false: np.ndarray, positives: np.ndarray, people: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(draws, metrics, groups) the rates of ``CRITERIA``, and (draws, groups) how many answers are right."""
    negatives, taken = people - positives, true + false
    right = true + negatives - false
    precise = np.where(taken > 1e-9, true / taken, NAN)
    return np.stack([taken / people, true / positives, false / negatives, precise, right / people], 1), right


def _thresholds(cuts: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The lowest score that is taken at each cut."""
    last = np.ceil(np.nan_to_num(cuts) - 1e-9).astype(int) - 1
    if not len(scores):
        return np.full(cuts.shape, NAN)
    return np.where(np.isnan(cuts) | (last < 0), NAN, scores[np.maximum(last, 0)])
