"""What a model does to groups of people, with intervals, and beside what chance alone would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from labkit.analyses._groups.comparing import GROUP_INDICES, NAN, PER_FEATURE, PER_GROUP, Terms, compare
from labkit.analyses._groups.grouping import Grouping, all_depths, grouping
from labkit.analyses._measure import Measure, Metric
from labkit.analyses._predicted import Statement, positive_class
from labkit.core import intervals, progress, resampling
from labkit.core.refused import Refused
from labkit.records.audit_groups import GroupAudit
from labkit.records.predict import Predictions
from labkit.records.scores import Scores

ASKED = "audit_groups"
# Several classes, each against the rest: ``positive=EACH``.
EACH = "each"


def audit_groups(
    p: Predictions | Scores | Mapping[str, Predictions],
    metrics: Sequence[str | Metric],
    *,
    by: Sequence[str | tuple[str, ...]],
    positive: int | str | None = None,
    depth: int = 1,
    seed: int = 0,
    replicates: int = 2000,
    least: int = 30,
    least_of: int = 10,
    of_interest: float = 0.1,
) -> GroupAudit:
    """Metrics by group, the differences between groups, and what equal groups would show.

    Proportions have Wilson intervals, their differences Newcombe's, their ratios log or score intervals; other metrics
    a bias-corrected bootstrap within each group. The largest difference is set beside its permutation null: for a
    proportion the hits are dealt at random over the groups' denominators, for other metrics people change groups.

    Args:
        p: predictions with sensitive features; with or without truth, a row a person or counted. Scores, with metrics of
            numbers. Or predictions by label, of the same people in the same order: every metric is then asked of each.
        metrics: names (``labkit.names("metrics")``) or functions ``(y_true, y_pred)``, ``(y_true, y_proba)``.
        by: sensitive features; a tuple of several means their intersection.
        positive: the class that counts as positive, by name or index; may be left out when the classes are 0 and 1.
            "each" asks every metric of each class against the rest.
        depth: adds every intersection of up to so many of the features named alone.
        replicates: bootstrap and permutation draws.
        least, least_of: groups with fewer people, or fewer of the class in question, are shown and not ranked, unless
            that leaves fewer than two.
        of_interest: the difference for which the number of people that it takes is told.

    Raises:
        Refused: an unknown feature or metric, no positive class named, a positive class that no example has, a
            metric of probabilities without probabilities, or of the truth without truth, a feature with more than 20
            small groups.
    """
    metrics = [metrics] if isinstance(metrics, str) or callable(metrics) else list(metrics)
    by = all_depths([by] if isinstance(by, str) else list(by), depth)
    options = {
        "positive": positive, "replicates": replicates, "least": least, "least_of": least_of, "of_interest": of_interest,
    }  # fmt: skip
    given: dict[str, Predictions | Scores] = {**p} if isinstance(p, Mapping) else {"data": p}
    statement = Statement(ASKED, options, seed, given, truth=False, counted=True, takes=(Predictions, Scores))
    if not given or not metrics or not by:
        raise Refused(ASKED, f"{len(metrics)} metrics by {len(by)} features", "at least one of each")
    if replicates < 100:
        raise Refused(f"{ASKED} with replicates={replicates}", "too few for a 95 % point", "replicates=100 or more")
    first = next(iter(given.values()))
    asked = _questions(p, metrics, positive)
    measures = [q.measure() for q in asked]
    features = [grouping(ASKED, first, b) for b in by]
    names = tuple(m.name for m in measures)
    for what, listed in (("metrics", names), ("features", [f.name for f in features])):
        if len(set(listed)) < len(listed):
            raise Refused(ASKED, f"{what} named {', '.join(listed)}", f"{what} of different names")
    terms = Terms(replicates, seed, least, least_of, of_interest)
    parts = []
    for i, (measure, feature) in enumerate(product(measures, features)):
        progress.step(ASKED, i, len(measures) * len(features))
        parts.append(compare(measure, feature, terms))
    progress.step(ASKED, len(parts), len(parts))
    tables = [table for table, _ in parts]
    status, reason = _status(tables, measures, features, first)
    found = _tables(tables, len(measures), features)
    overall = np.array([_overall(m, len(first), replicates, seed) for m in measures])
    one_truth = len({q.key for q in asked}) == 1
    truth = measures[0].truth if one_truth else None
    return GroupAudit(
        provenance=statement.provenance(),
        status=status,
        reason=reason,
        warnings=tuple(dict.fromkeys([*_warnings(given, features), *(w for _, told in parts for w in told)])),
        positive=asked[0].positive if one_truth else "",
        metrics=names,
        features=tuple(f.name for f in features),
        n_total=first.people,
        replicates=replicates,
        least=least,
        least_of=least_of,
        of_interest=of_interest,
        better=np.array([m.better for m in measures]),
        group=np.array([g for f in features for g in f.groups]),
        feature_of=np.repeat(np.arange(len(features)), [len(f.groups) for f in features]),
        n=np.concatenate([f.counts() for f in features]),
        positives=np.concatenate([np.full(len(f.groups), -1) if truth is None else f.counts(truth) for f in features]),
        unknown=np.array([f.unknown for f in features]),
        overall=overall[:, 0],
        overall_low=overall[:, 1],
        overall_high=overall[:, 2],
        p_holm=intervals.holm(found["p"]),
        p_bh=intervals.benjamini_hochberg(found["p"]),
        perfect=_perfect(asked, features, found["ranked"]),
        **found,
    )


@dataclass(frozen=True)
class _Question:
    """One metric of one set of answers, with the class that is positive there."""

    metric: str | Metric
    p: Predictions | Scores
    index: int | None
    of: str = ""

    def measure(self, perfect: bool = False) -> Measure:
        return Measure(ASKED, self.metric, self.p, self.index, perfect=perfect, of=self.of)

    @property
    def key(self) -> tuple[int, int | None]:
        """Which truth it is about."""
        return id(self.p), self.index

    @property
    def positive(self) -> str:
        return "" if self.index is None or isinstance(self.p, Scores) else self.p.classes[self.index]


def _questions(
    p: Predictions | Scores | Mapping[str, Predictions], metrics: Sequence[str | Metric], positive: int | str | None
) -> list[_Question]:
    """Every metric of every label or class that it is asked of."""
    if isinstance(p, Mapping):
        _same_people(p)
        return [_Question(m, q, _positive(q, positive, [m]), label) for m, (label, q) in product(metrics, p.items())]
    if isinstance(p, Scores):
        return [_Question(m, p, None) for m in metrics]
    if positive != EACH or EACH in p.classes:
        index = _positive(p, positive, metrics)
        return [_Question(m, p, index) for m in metrics]
    there = [i for i in range(len(p.classes)) if (p.y == i).any() or (p.label == i).any()]
    asked = []
    for metric in metrics:
        over_classes = _of_labels(metric, p)
        asked += (
            [_Question(metric, p, None)] if over_classes else [_Question(metric, p, i, p.classes[i]) for i in there]
        )
    return asked


def _of_labels(metric: str | Metric, p: Predictions) -> bool:
    """Whether a metric works on all classes at once."""
    try:
        return Measure(ASKED, metric, p, None).labels
    except Refused:
        Measure(ASKED, metric, p, 0)
        return False


def _positive(p: Predictions, positive: int | str | None, metrics: Sequence[Any]) -> int | None:
    """The positive class; None when none is named among several and every metric works on all classes."""
    if positive is None and len(p.classes) > 2:
        for metric in metrics:
            Measure(ASKED, metric, p, None)
        return None
    return positive_class(ASKED, p, positive)


def _same_people(labels: Mapping[str, Predictions]) -> None:
    first = next(iter(labels.values()))
    for label, p in labels.items():
        same = len(p) == len(first) and p.groups.keys() == first.groups.keys()
        if not same or any((p.groups[g] != first.groups[g]).any() for g in p.groups):
            instead = "predictions of the same people in the same order for every label"
            raise Refused(ASKED, f"labels of different people ({label!r})", instead)


def _warnings(given: Mapping[str, Predictions | Scores], features: Sequence[Grouping]) -> list[str]:
    people = next(iter(given.values())).people
    told = [w for p in given.values() for w in p.warnings]
    told += [f"{f.unknown} of {people} people have no known {f.name}" for f in features if f.unknown]
    return told + [
        f"{f.name}: {f.unlisted} combinations without anybody are not listed" for f in features if f.unlisted
    ]


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


def _perfect(asked: Sequence[_Question], features: Sequence[Grouping], ranked: np.ndarray) -> np.ndarray:
    """(metric, feature): the largest difference over the same groups when every answer is right; nan without truth."""
    found = np.full((len(asked), len(features)), NAN)
    for i, question in enumerate(asked):
        if not question.p.has_truth:
            continue
        measure = question.measure(perfect=True)
        start = 0
        for j, feature in enumerate(features):
            compared = np.flatnonzero(ranked[i, start : start + len(feature.groups)])
            start += len(feature.groups)
            values = [float(measure.value(feature.code == g)) for g in compared]
            found[i, j] = resampling.spread(np.array(values)) if values else NAN
    return found


def _status(
    parts: Sequence[dict[str, Any]],
    measures: Sequence[Measure],
    features: Sequence[Grouping],
    p: Predictions | Scores,
) -> tuple[Any, str]:
    if all(m.constant for m in measures):
        answer = float(p.value[0]) if isinstance(p, Scores) else p.classes[int(p.label[0])]
        given = (
            f"the model gives one answer ({answer!r}) to all {p.people} people, so that equal rates would say nothing"
        )
        return "not_measured", f"{given}; it would take a model that answers differently"
    if all(part["highest"] < 0 for part in parts):
        groups = "; ".join(f"{f.name}: {', '.join(f.groups) or 'none known'}" for f in features)
        return "not_measured", f"no feature has two groups in which a metric is defined ({groups})"
    return "measured", ""
