"""What a model does to groups of people, with intervals, and beside what chance alone would do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from labkit.analyses._grouping import Grouping, grouping
from labkit.analyses._measure import Measure, Metric
from labkit.analyses._predicted import Statement, positive_class
from labkit.core import intervals, progress, resampling
from labkit.core.refused import Refused
from labkit.records.audit_groups import GroupAudit
from labkit.records.predict import Predictions

NAN = float("nan")
PER_GROUP = ("value", "low", "high", "hits", "of", "why", "ranked", "ratio", "ratio_low", "ratio_high")
PER_FEATURE = (
    *("highest", "lowest", "surest_high", "surest_low"),
    *("difference", "difference_low", "difference_high", "corrected"),
    *("null95", "null99", "p", "least_ratio", "null_ratio05"),
)


GROUP_INDICES = PER_FEATURE[:4]


def audit_groups(
    p: Predictions,
    metrics: Sequence[str | Metric],
    *,
    by: Sequence[str | tuple[str, ...]],
    positive: int | str | None = None,
    seed: int = 0,
    replicates: int = 2000,
    least: int = 30,
    least_of: int = 10,
) -> GroupAudit:
    """Metrics by group, the differences between groups, and what equal groups would show.

    Proportions have Wilson intervals, their differences Newcombe's, their ratios log or score intervals; other metrics
    a bias-corrected bootstrap within each group. The largest difference is set beside its permutation null: for a
    proportion the hits are dealt at random over the groups' denominators, for other metrics people change groups.

    Args:
        p: predictions with sensitive features.
        metrics: names (``labkit.names("metrics")``) or functions ``(y_true, y_pred)``, ``(y_true, y_proba)``.
        by: sensitive features; a tuple of several means their intersection.
        positive: the class that counts as positive, by name or index; may be left out when the classes are 0 and 1.
        replicates: bootstrap and permutation draws.
        least, least_of: groups with fewer people, or fewer of the class in question, are shown and not ranked, unless
            that leaves fewer than two.

    Raises:
        Refused: an unknown feature or metric, no positive class named, a positive class that no example has, a
            metric of probabilities without probabilities, a feature with more than 20 small groups.
    """
    metrics = [metrics] if isinstance(metrics, str) or callable(metrics) else list(metrics)
    by = [by] if isinstance(by, str) else list(by)
    options = {"positive": positive, "replicates": replicates, "least": least, "least_of": least_of}
    asked = "audit_groups"
    statement = Statement(asked, options, seed, {"data": p})
    if not metrics or not by:
        raise Refused(asked, f"{len(metrics)} metrics by {len(by)} features", "at least one of each")
    if replicates < 100:
        raise Refused(f"{asked} with replicates={replicates}", "too few for a 95 % point", "replicates=100 or more")
    index = _positive(asked, p, positive, metrics)
    measures = [Measure(asked, m, p, index) for m in metrics]
    names = tuple(m.name for m in measures)
    features = [grouping(asked, p, b) for b in by]
    for what, given in (("metrics", names), ("features", [f.name for f in features])):
        if len(set(given)) < len(given):
            raise Refused(asked, f"{what} named {', '.join(given)}", f"{what} of different names")
    truth = None if index is None else p.y == index
    parts = []
    for i, (measure, feature) in enumerate(product(measures, features)):
        progress.step(asked, i, len(measures) * len(features))
        parts.append(_one(measure, feature, truth, least, least_of, replicates, seed))
    progress.step(asked, len(parts), len(parts))
    warnings = [*p.warnings, *dict.fromkeys(w for part in parts for w in part["warnings"])]
    strangers = {f.name: int((f.code < 0).sum()) for f in features}
    warnings += [f"{k} of {len(p)} people have no known {name}" for name, k in strangers.items() if k]
    status, reason = _status(parts, measures, features, p)
    found = _tables(parts, len(measures), features)
    overall = np.array([_overall(m, len(p), replicates, seed) for m in measures])
    return GroupAudit(
        provenance=statement.provenance(),
        status=status,
        reason=reason,
        warnings=tuple(warnings),
        positive="" if index is None else p.classes[index],
        metrics=names,
        features=tuple(f.name for f in features),
        n_total=len(p),
        replicates=replicates,
        least=least,
        least_of=least_of,
        group=np.array([g for f in features for g in f.groups]),
        feature_of=np.repeat(np.arange(len(features)), [len(f.groups) for f in features]),
        n=np.concatenate([f.counts() for f in features]),
        positives=np.concatenate([_positives(f, truth) for f in features]),
        unknown=np.array(list(strangers.values())),
        overall=overall[:, 0],
        overall_low=overall[:, 1],
        overall_high=overall[:, 2],
        p_holm=intervals.holm(found["p"]),
        perfect=_perfect(asked, metrics, p, index, features, found["ranked"]),
        **found,
    )


def _tables(parts: Sequence[dict[str, Any]], metrics: int, features: Sequence[Grouping]) -> dict[str, np.ndarray]:
    """The parts put together: (metric, group) and (metric, feature) arrays."""
    rows = [parts[i * len(features) : (i + 1) * len(features)] for i in range(metrics)]
    found = {k: np.array([np.concatenate([part[k] for part in row]) for row in rows]) for k in PER_GROUP}
    found |= {k: np.array([[part[k] for part in row] for row in rows]) for k in PER_FEATURE}
    starts = np.cumsum([0] + [len(f.groups) for f in features])[:-1]
    for k in GROUP_INDICES:
        found[k] = np.where(found[k] >= 0, found[k] + starts, -1)
    return found


def _overall(measure: Measure, n: int, replicates: int, seed: int) -> tuple[float, float, float]:
    if measure.constant:
        return NAN, NAN, NAN
    return measure.interval(np.arange(n), replicates, resampling.stream(seed, measure.name, "overall"))[:3]


def _positive(asked: str, p: Predictions, positive: int | str | None, metrics: Sequence[Any]) -> int | None:
    """The positive class; None when none is named among several and every metric works on all classes."""
    if positive is None and len(p.classes) > 2:
        for metric in metrics:
            Measure(asked, metric, p, None)
        return None
    return positive_class(asked, p, positive)


def _positives(feature: Grouping, truth: np.ndarray | None) -> np.ndarray:
    """(groups,) people of the positive class; -1 where no class is named as positive."""
    return np.full(len(feature.groups), -1) if truth is None else feature.counts(truth)


def _one(
    measure: Measure,
    feature: Grouping,
    truth: np.ndarray | None,
    least: int,
    least_of: int,
    replicates: int,
    seed: int,
) -> dict[str, Any]:
    """One metric over one feature: its groups, and how they compare."""
    size = len(feature.groups)
    n, positives = feature.counts(), _positives(feature, truth)
    value, low, high, hits, of = (np.full(size, NAN) for _ in range(5))
    draws = np.full((replicates, size), NAN)
    why = [""] * size
    enough = n >= least
    for g, name in enumerate(feature.groups):
        if measure.constant:
            why[g] = "the model gives everybody the same answer"
            continue
        rows = np.flatnonzero(feature.code == g)
        generator = resampling.stream(seed, measure.name, feature.name, name)
        value[g], low[g], high[g], drawn = (found := measure.interval(rows, replicates, generator))
        if isinstance(found[0], intervals.Rate):
            hits[g], of[g] = found[0].hits, found[0].of
            enough[g] &= found[0].of >= least_of
        elif measure.compares_classes and truth is not None:
            enough[g] &= min(positives[g], n[g] - positives[g]) >= least_of
        if drawn is not None:
            draws[:, g] = drawn
        if np.isnan(value[g]):
            why[g] = _why(measure, n[g], positives[g])
    measured = ~np.isnan(value)
    ranked, warnings = measured & enough, []
    if ranked.sum() < 2 <= measured.sum():
        ranked = measured
        warnings = [
            f"{feature.name}: fewer than two groups of {least} people; the small ones are compared all the same"
        ]
    part: dict[str, Any] = {
        "value": value, "low": low, "high": high, "hits": hits, "of": of, "why": np.array(why), "ranked": ranked,
        "warnings": warnings,
    }  # fmt: skip
    generator = resampling.stream(seed, measure.name, feature.name, "null")
    return part | _ratios(part) | _compared(measure, feature, part, draws, replicates, generator)


def _why(measure: Measure, n: int, positives: int) -> str:
    if n == 0:
        return "no people"
    if positives == 0:
        return "no positive case"
    if positives == n:
        return "no negative case"
    return "undefined on these people, as precision is without a positive answer"


def _ratios(part: dict[str, Any]) -> dict[str, np.ndarray]:
    """Each value over the highest ranked one; an interval where both are proportions."""
    value, hits, of, ranked = part["value"], part["hits"], part["of"], part["ranked"]
    nothing = np.full(len(value), NAN)
    if not ranked.any() or value[ranked].max() <= 0:
        return {"ratio": nothing, "ratio_low": nothing, "ratio_high": nothing}
    top = int(np.argmax(np.where(ranked, value, -np.inf)))
    low, high = intervals.ratio(hits, of, hits[top], of[top])
    itself = np.arange(len(value)) == top
    return {
        "ratio": value / value[top],
        "ratio_low": np.where(itself, 1.0, low),
        "ratio_high": np.where(itself, 1.0, high),
    }


def _compared(
    measure: Measure,
    feature: Grouping,
    part: dict[str, Any],
    draws: np.ndarray,
    replicates: int,
    generator: np.random.Generator,
) -> dict[str, Any]:
    """The largest difference of the ranked groups, its interval, and its null."""
    ranked = np.flatnonzero(part["ranked"])
    value, hits, of = part["value"][ranked], part["hits"][ranked], part["of"][ranked]
    if len(ranked) < 2:
        return dict.fromkeys(PER_FEATURE, NAN) | dict.fromkeys(GROUP_INDICES, -1)
    difference = float(resampling.spread(value))
    if not np.isnan(of).any():
        low, high = intervals.largest_difference(hits, of)
        draws = generator.binomial(of.astype(int), value, (replicates, len(of))) / of
        dealt = np.column_stack([hits, of - hits]).astype(np.int64)
        null = resampling.permuted_tables(dealt, replicates, generator)[:, :, 0] / of
    else:
        draws = draws[:, ranked]
        low, high = resampling.largest_difference(draws, value)
        code = np.full(len(feature.groups) + 1, -1)
        code[ranked] = np.arange(len(ranked))
        null = measure.permuted(code[feature.code], len(ranked), replicates, generator)
    far = resampling.spread(null)
    sizes = np.where(np.isnan(of), feature.counts()[ranked], of)
    scaled, (high_group, low_group) = resampling.surest(value, sizes)
    exact = len(ranked) == 2 and not np.isnan(of).any()
    return {
        "highest": int(ranked[value.argmax()]),
        "lowest": int(ranked[value.argmin()]),
        "surest_high": int(ranked[high_group]),
        "surest_low": int(ranked[low_group]),
        "difference": difference,
        "difference_low": low,
        "difference_high": min(high, measure.most),
        "corrected": max(0.0, 2 * difference - float(np.nanmean(resampling.spread(draws)))),
        "null95": float(np.nanquantile(far, 0.95)),
        "null99": float(np.nanquantile(far, 0.99)),
        "p": resampling.exact_difference(hits, of)
        if exact
        else resampling.share_as_large(resampling.surest(null, sizes)[0], float(scaled)),
        "least_ratio": float(resampling.least_ratio(value)),
        "null_ratio05": float(np.nanquantile(resampling.least_ratio(null), 0.05)) if value.max() > 0 else NAN,
    }


def _perfect(
    asked: str,
    metrics: Sequence[str | Metric],
    p: Predictions,
    index: int | None,
    features: Sequence[Grouping],
    ranked: np.ndarray,
) -> np.ndarray:
    """(metric, feature): the largest difference over the same groups when every answer is right."""
    found = np.full((len(metrics), len(features)), NAN)
    for i, metric in enumerate(metrics):
        measure = Measure(asked, metric, p, index, perfect=True)
        start = 0
        for j, feature in enumerate(features):
            compared = np.flatnonzero(ranked[i, start : start + len(feature.groups)])
            start += len(feature.groups)
            values = [float(measure.value(feature.code == g)) for g in compared]
            found[i, j] = resampling.spread(np.array(values)) if values else NAN
    return found


def _status(
    parts: Sequence[dict[str, Any]], measures: Sequence[Measure], features: Sequence[Grouping], p: Predictions
) -> tuple[Any, str]:
    if all(m.constant for m in measures):
        given = (
            f"the model gives one answer ({p.classes[int(p.label[0])]!r}) to all {len(p)} people, so that equal rates"
        )
        return "not_measured", given + " would say nothing; it would take a model that answers differently"
    if all(part["highest"] < 0 for part in parts):
        groups = "; ".join(f"{f.name}: {', '.join(f.groups) or 'none known'}" for f in features)
        return "not_measured", f"no feature has two groups in which a metric is defined ({groups})"
    return "measured", ""
