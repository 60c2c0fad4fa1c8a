"""Whom does a change of the model cost? The same people before and after, by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from labkit.analyses._groups.between import apart, listed, nothing_apart, tables
from labkit.analyses._groups.grouping import Grouping, grouping
from labkit.analyses._measure import Measure, Metric
from labkit.analyses._predicted import Statement, positive_class
from labkit.core import intervals, progress, resampling
from labkit.core.intervals import Rate
from labkit.core.refused import Refused
from labkit.records.changes_by_group import ANSWER, ChangesByGroup
from labkit.records.predict import Predictions

ASKED = "changes_by_group"
CLASS = "true class"


def changes_by_group(
    before: Predictions,
    after: Predictions,
    by: str | Sequence[str | tuple[str, ...]] = (),
    metrics: str | Metric | Sequence[str | Metric] = "accuracy",
    *,
    positive: int | str | None = None,
    seed: int = 0,
    replicates: int = 2000,
    least: int = 30,
    least_of: int = 10,
) -> ChangesByGroup:
    """What compression, transfer, retraining or a mitigation did to groups of people: rates before and after, who gains
    and who loses, whose answers change at all.

    Both models answer the same people, so that only those whose hit changed tell them apart: intervals are Bonett and
    Price's for paired proportions, and McNemar's exact test (Q. McNemar, 1947, doi 10.1007/BF02295996) says for each
    group whether it gains or loses. The largest difference between groups' changes is set beside groups made at random.
    People are also grouped by their true class, since small classes may lose most while the whole hardly moves (Hooker
    et al., 2019, arXiv 1911.05248; 2020, arXiv 2010.03058).

    Args:
        before, after: predictions for the same people in the same order.
        by: sensitive features of ``before``; a tuple of several means their intersection, and "true class" may be one.
            The true class alone is always taken.
        metrics: rates that look at the same people whatever is answered: accuracy, selection_rate, true_positive_rate,
            false_positive_rate, or functions of this form.
        positive: the class that counts as positive, by name or index, for metrics that need one.
        least, least_of: groups with fewer people, or fewer that the metric looks at, are shown and not ranked.

    Raises:
        Refused: predictions for other people, or in another order; a metric that is no such rate; an unknown feature.
    """
    asked = [by] if isinstance(by, str) else list(by)
    rates = [metrics] if isinstance(metrics, str) or callable(metrics) else list(metrics)
    options = {"positive": positive, "replicates": replicates, "least": least, "least_of": least_of}
    statement = Statement(ASKED, options, seed, {"before": before, "after": after})
    if replicates < 100:
        raise Refused(f"{ASKED} with replicates={replicates}", "too few for a 95 % point", "replicates=100 or more")
    warnings = [*before.warnings, *after.warnings, *_same_people(before, after)]
    features = _features(before, asked)
    plain = positive is not None or list(before.classes) in (["0", "1"], ["False", "True"])
    index = positive_class(ASKED, before, positive) if plain else None
    pairs = [(Measure(ASKED, m, before, index), Measure(ASKED, m, after, index)) for m in rates]
    hits = [_both(*pair) for pair in pairs] + [_other_answers(before, after)]
    names = (*(own.name for own, _ in pairs), ANSWER)
    counts = [[_counts(*pair, f) for f in features] for pair in hits]
    of, had, gained, lost = np.moveaxis(np.array([np.concatenate(row) for row in counts]), -1, 0)
    n = np.concatenate([f.counts() for f in features])
    ranked = (n >= max(least, 1)) & (of >= max(least_of, 1))
    mcnemar = _mcnemar(gained, lost, of)
    parts = _compared(names, features, counts, ranked, replicates, seed)
    found = tables(parts, features)
    known = bool((found["highest"] >= 0).any())
    return ChangesByGroup(
        provenance=statement.provenance(),
        status="measured" if known else "not_measured",
        reason="" if known else f"no feature has two groups of {least} people in which a metric is defined",
        warnings=tuple(dict.fromkeys(warnings)),
        before=_name(before, "before"),
        after=_name(after, "after"),
        positive="" if index is None else before.classes[index],
        measures=names,
        better=np.array([*(own.better for own, _ in pairs), 0]),
        n_total=len(before),
        replicates=replicates,
        least=least,
        least_of=least_of,
        of=of,
        had=had,
        gained=gained,
        lost=lost,
        mcnemar=mcnemar,
        mcnemar_holm=intervals.holm(np.where(ranked, mcnemar, np.nan)),
        ranked=ranked,
        total=np.array([_counts(*pair, Grouping("", ("",), np.zeros(len(before), np.int64)))[0] for pair in hits]),
        **listed(features),
        **found,
    )


def _name(p: Predictions, otherwise: str) -> str:
    return str(p.provenance.model.get("name") or p.provenance.data.get("name") or otherwise)


def _same_people(before: Predictions, after: Predictions) -> list[str]:
    """Refuse predictions for other people; a warning where the inputs themselves differ."""
    instead = "two predictions for the same people, in the same order, over the same classes"
    if before.classes != after.classes or len(before) != len(after) or not np.array_equal(before.y, after.y):
        given = f"{len(before)} and {len(after)} rows over {len(before.classes)} and {len(after.classes)} classes"
        raise Refused(ASKED, f"{given}, whose truth differs", instead)
    for name in set(before.groups) & set(after.groups):
        if not np.array_equal(before.groups[name], after.groups[name]):
            raise Refused(ASKED, f"groups by {name} that differ before and after", instead)
    if before.row is None or after.row is None or np.array_equal(before.row, after.row):
        return []
    if np.array_equal(np.sort(before.row), np.sort(after.row)):
        raise Refused(ASKED, "the same inputs in another order", instead)
    changed = int((before.row != after.row).sum())
    return [f"the inputs of {changed} of {len(before)} people differ before and after, which is a part of the change"]


def _features(p: Predictions, by: Sequence[str | tuple[str, ...]]) -> list[Grouping]:
    known = replace(p, groups={CLASS: np.array(p.classes)[p.y], **p.groups})
    features = [grouping(ASKED, known, one) for one in by if one != CLASS]
    features.append(Grouping(CLASS, p.classes, np.asarray(p.y, np.int64)))
    names = [f.name for f in features]
    if len(set(names)) < len(names):
        raise Refused(ASKED, f"features named {', '.join(names)}", "features of different names")
    return features


def _hits(measure: Measure) -> np.ndarray:
    """(n,) whether each person is a hit: 1 or 0, and nan where the rate does not look at the person."""
    instead = "a rate of the same people before and after: accuracy, selection_rate, true_positive_rate"
    asked = f"{ASKED} with {measure.name}"
    if not measure.weighs or not isinstance(measure.value(), Rate):
        raise Refused(asked, "a metric that is no share of people", instead)
    columns = list(measure.columns.values())
    _, first, code = np.unique(np.stack(columns, 1), axis=0, return_index=True, return_inverse=True)
    cells = {name: column[first] for name, column in measure.columns.items()}
    single = np.asarray(measure.function(**cells, weight=np.eye(len(first)), **measure.options))
    return single[code.ravel()]


def _both(before: Measure, after: Measure) -> tuple[np.ndarray, np.ndarray]:
    hits = _hits(before), _hits(after)
    if not np.array_equal(np.isnan(hits[0]), np.isnan(hits[1])):
        given = "a rate that looks at other people when answers change"
        raise Refused(f"{ASKED} with {before.name}", given, "accuracy, or the true and false positive rates")
    return hits


def _other_answers(before: Predictions, after: Predictions) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(len(before)), (before.label != after.label).astype(float)


def _counts(before: np.ndarray, after: np.ndarray, feature: Grouping) -> np.ndarray:
    """(groups, 4) people looked at, with the hit before, with it after alone, and before alone."""
    looked = ~np.isnan(before)
    among = (looked, before == 1, (before == 0) & (after == 1), (before == 1) & (after == 0))
    return np.stack([feature.counts(rows) for rows in among], 1)


def _mcnemar(gained: np.ndarray, lost: np.ndarray, of: np.ndarray) -> np.ndarray:
    """(measure, group) two-sided p of gains and losses being equally likely; not of the last measure, which has no losses."""
    from scipy.stats import binom

    p = np.minimum(1.0, 2 * binom.cdf(np.minimum(gained, lost), gained + lost, 0.5))
    p[-1] = np.nan
    return np.where(of > 0, p, np.nan)


def _compared(
    names: Sequence[str],
    features: Sequence[Grouping],
    counts: Sequence[Sequence[np.ndarray]],
    ranked: np.ndarray,
    replicates: int,
    seed: int,
) -> list[list[dict[str, Any]]]:
    cuts = np.cumsum([len(f.groups) for f in features])[:-1]
    parts: list[list[dict[str, Any]]] = []
    for i, name in enumerate(names):
        progress.step(ASKED, i, len(names))
        large = np.split(ranked[i], cuts)
        streams = [resampling.stream(seed, ASKED, name, f.name) for f in features]
        last = i == len(names) - 1
        parts.append([_one(*each, last, replicates, s) for each, s in zip(zip(counts[i], large), streams)])
    progress.step(ASKED, len(names), len(names))
    return parts


def _one(
    counts: np.ndarray, ranked: np.ndarray, last: bool, replicates: int, generator: np.random.Generator
) -> dict[str, Any]:
    at = np.flatnonzero(ranked)
    if len(at) < 2:
        return nothing_apart()
    of, _, gained, lost = counts[at].T
    dealt = resampling.permuted_tables(np.stack([gained, lost, of - gained - lost], 1), replicates, generator)

    def interval(level: float) -> tuple[np.ndarray, np.ndarray]:
        return intervals.wilson(gained, of, level) if last else intervals.paired(gained, lost, of, level)

    found = apart((gained - lost) / of, interval, of, (dealt[:, :, 0] - dealt[:, :, 1]) / of)
    return found | {name: int(at[found[name]]) for name in ("highest", "lowest")}
