"""Whom does a change of the model cost? The same people before and after, by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from labkit.analyses._groups.between import apart, listed, nothing_apart, tables
from labkit.analyses._groups.grouping import Grouping, grouping
from labkit.analyses._measure import Measure, Metric
from labkit.analyses._pairs.people import hits_of_both, same_people
from labkit.analyses._predicted import Statement, positive_class
from labkit.core import intervals, pairs, progress, resampling
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
    warnings = [*before.warnings, *after.warnings, *same_people(ASKED, before, after, inputs=False)]
    features = _features(before, asked)
    plain = positive is not None or list(before.classes) in (["0", "1"], ["False", "True"])
    index = positive_class(ASKED, before, positive) if plain else None
    measured = [(Measure(ASKED, m, before, index), Measure(ASKED, m, after, index)) for m in rates]
    hits = [_both(*pair) for pair in measured] + [_other_answers(before, after)]
    names = (*(own.name for own, _ in measured), ANSWER)
    counts = [[_counts(*pair, f) for f in features] for pair in hits]
    of, had, gained, lost = np.moveaxis(np.array([np.concatenate(row) for row in counts]), -1, 0)
    n = np.concatenate([f.counts() for f in features])
    ranked = (n >= max(least, 1)) & (of >= max(least_of, 1))
    mcnemar = np.where(of > 0, pairs.mcnemar(gained, lost), np.nan)
    mcnemar[-1] = np.nan  # of the last measure nobody loses
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
        better=np.array([*(own.better for own, _ in measured), 0]),
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


def _features(p: Predictions, by: Sequence[str | tuple[str, ...]]) -> list[Grouping]:
    known = replace(p, groups={CLASS: np.array(p.classes)[p.y], **p.groups})
    features = [grouping(ASKED, known, one) for one in by if one != CLASS]
    features.append(Grouping(CLASS, p.classes, np.asarray(p.y, np.int64)))
    names = [f.name for f in features]
    if len(set(names)) < len(names):
        raise Refused(ASKED, f"features named {', '.join(names)}", "features of different names")
    return features


def _both(before: Measure, after: Measure) -> tuple[np.ndarray, np.ndarray]:
    found = hits_of_both(before, after)
    if found is None:
        share = before.weighs and isinstance(before.value(), Rate)
        given = (
            "a rate that looks at other people when answers change" if share else "a metric that is no share of people"
        )
        instead = "a rate of the same people before and after: accuracy, the true and false positive rates"
        raise Refused(f"{ASKED} with {before.name}", given, instead)
    return found


def _other_answers(before: Predictions, after: Predictions) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(len(before)), (before.label != after.label).astype(float)


def _counts(before: np.ndarray, after: np.ndarray, feature: Grouping) -> np.ndarray:
    """(groups, 4) people looked at, with the hit before, with it after alone, and before alone."""
    looked = ~np.isnan(before)
    among = (looked, before == 1, (before == 0) & (after == 1), (before == 1) & (after == 0))
    return np.stack([feature.counts(rows) for rows in among], 1)


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
