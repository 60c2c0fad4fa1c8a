"""Is one model better than another, or is that chance?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labkit.analyses._groups.grouping import grouping
from labkit.analyses._measure import Measure, Metric
from labkit.analyses._pairs.compared import Difference, method, one_run, several_runs
from labkit.analyses._pairs.exchanged import exchanged
from labkit.analyses._pairs.people import Runs, runs, same_people
from labkit.analyses._predicted import Statement, positive_class
from labkit.core import intervals, progress, resampling
from labkit.core.refused import Refused
from labkit.records.compare_models import EVERYBODY, ModelComparison
from labkit.records.predict import Predictions

ASKED = "compare_models"
# A rate of alarms is told by at least so many draws for each one expected.
DRAWS = 5


def compare_models(
    a: Runs,
    b: Runs,
    metrics: str | Metric | Sequence[str | Metric] | None = None,
    *,
    by: str | Sequence[str | tuple[str, ...]] | None = None,
    positive: int | str | None = None,
    margin: float = 0.0,
    alarm: float = 0.01,
    seed: int = 0,
    replicates: int = 1000,
    least: int = 30,
) -> ModelComparison:
    """Two models on the same people: what differs, by how much, and whether it may be chance.

    Rates of the same people are compared by McNemar's exact test and Bonett and Price's interval, areas under the ROC
    curve by DeLong's, other metrics by a paired bootstrap and by exchanging the two answers of each person at random. A
    verdict ("worse", "better") is corrected for all metrics and groups by the largest difference among exchanged
    answers: of models that are as good as each other at most ``alarm`` are called worse. How often that happens is
    counted, too, on further exchanges.

    With one run a side the difference is between two files. With several, each side's mean is compared, and the noise
    of training stands in the interval (X. Bouthillier et al., 2021, arXiv 2103.03098), as the spread over runs beside
    that over rows.

    Args:
        a, b: predictions for the same people in the same order; or a list, one a training run (seed).
        metrics: names or functions; by default accuracy and balanced accuracy, and for two classes with probabilities
            the area under the ROC curve and log loss.
        by: sensitive features; a tuple of several means their intersection.
        positive: the class that counts as positive, by name or index, for metrics that need one.
        margin: a difference that would not matter, in each metric's unit.
        alarm: how often models that are as good as each other may be called worse, over all metrics and groups.
        replicates: bootstrap draws; of exchanges there are twice as many.
        least: groups with fewer people are shown and not judged.

    Raises:
        Refused: predictions for other people, or in another order; a metric that the predictions do not allow; one
            class alone; too few replicates for ``alarm``.
    """
    sides = [runs(ASKED, name, given) for name, given in (("a", a), ("b", b))]
    options = {"by": by, "positive": positive, "margin": margin, "alarm": alarm, "replicates": replicates}
    every = {f"{name}{i or ''}": p for name, side in zip("ab", sides) for i, p in enumerate(side)}
    statement = Statement(ASKED, options, seed, every)
    _admit(sides, margin, alarm, replicates)
    people, one = sides[0][0], len(sides[0]) == len(sides[1]) == 1
    index, wanted = _asked(sides, metrics, positive)
    pairs = [[[Measure(ASKED, m, p, index) for p in side] for side in sides] for m in wanted]
    better = np.array([first[0].better for first, _ in pairs])
    group, feature, cells = _cells(people, by)
    ranked = np.array([len(rows) >= least for rows in cells])
    found, drawn = [], []
    for i, (first, other) in enumerate(pairs):
        progress.step(ASKED, i, len(pairs))
        if one:
            row, exchanging = one_run(first[0], other[0], cells, replicates, seed)
            drawn.append(exchanging)
        else:
            row = several_runs(first, other, cells, seed)
        found.append(row)
    size, p = (np.array([[getattr(d, name) for d in row] for row in found]) for name in ("size", "p"))
    if one:
        stream = resampling.stream(seed, ASKED, "exchanged")
        settings: dict[str, Any] = {"margin": margin, "alarm": alarm, "replicates": replicates, "generator": stream}
        told = exchanged(drawn, size, better, ranked, **settings)
        p = np.where(np.isnan(p), told.p, p)
        judged: dict[str, Any] = {
            "p_worse": told.worse,
            "p_better": told.better,
            "alarms": told.alarms,
            "pairs": told.pairs,
        }
    else:
        judged = {**_by_holm(found, better, ranked, margin), "alarms": 0, "pairs": 0}
    unknown = np.isnan(size[:, 0]).all()
    return ModelComparison(
        provenance=statement.provenance(_scored(pairs)),
        status="not_measured" if unknown else "measured",
        reason="no metric is defined on these rows; most take both classes" if unknown else "",
        warnings=_warnings(sides, people, one),
        **_names(sides),
        runs_a=np.array([[float(m.value()) for m in first] for first, _ in pairs]),
        runs_b=np.array([[float(m.value()) for m in other] for _, other in pairs]),
        positive="" if positive is None or index is None else people.classes[index],
        metrics=tuple(first[0].name for first, _ in pairs),
        better=better,
        methods=tuple(method(f[0], o[0]) if one else "rows and runs, Welch and Satterthwaite" for f, o in pairs),
        margin=margin,
        alarm=alarm,
        least=least,
        replicates=replicates,
        group=group,
        feature=feature,
        n=np.array([len(rows) for rows in cells]),
        ranked=ranked,
        p=p,
        p_holm=intervals.holm(np.where(ranked, p, np.nan)),
        **_numbers(found),
        **judged,
        **_who(sides[0][0], sides[1][0], one),
    )


def _admit(sides: Sequence[Sequence[Predictions]], margin: float, alarm: float, replicates: int) -> None:
    if not 0 < alarm < 0.5:
        raise Refused(f"{ASKED} with alarm={alarm!r}", repr(alarm), "a share between 0 and 0.5, such as 0.01")
    if not 0 <= margin < np.inf:
        raise Refused(f"{ASKED} with margin={margin!r}", repr(margin), "a margin of 0 or more, in the metric's unit")
    if replicates * alarm < DRAWS:
        instead = f"replicates={int(np.ceil(DRAWS / alarm))} or more"
        raise Refused(f"{ASKED} with replicates={replicates}", f"too few for alarms of {alarm:g}", instead)
    first = sides[0][0]
    if len(first.classes) < 2:
        raise Refused(ASKED, f"one class, {first.classes[0]!r}", "predictions over at least two classes")
    for p in (*sides[0][1:], *sides[1]):
        same_people(ASKED, first, p)


def _asked(
    sides: Sequence[Sequence[Predictions]], metrics: Any, positive: int | str | None
) -> tuple[int | None, list[Any]]:
    """The positive class, if one is named or plain, and the metrics wanted. The two areas and losses of two classes are
    the same whichever is positive."""
    people = sides[0][0]
    plain = positive is not None or list(people.classes) in (["0", "1"], ["False", "True"])
    index = positive_class(ASKED, people, positive) if plain else None
    if metrics is not None:
        return index, [metrics] if isinstance(metrics, str) or callable(metrics) else list(metrics)
    scored = len(people.classes) == 2 and all(p.proba is not None for side in sides for p in side)
    if not scored:
        return index, ["accuracy", "balanced_accuracy"]
    return 1 if index is None else index, ["accuracy", "balanced_accuracy", "auc", "log_loss"]


def _cells(
    people: Predictions, by: str | Sequence[str | tuple[str, ...]] | None
) -> tuple[tuple[str, ...], tuple[str, ...], list[np.ndarray]]:
    """Everybody, and each group that has somebody: name, feature and rows."""
    asked = [] if by is None else [by] if isinstance(by, str) else list(by)
    found = [(EVERYBODY, "", np.arange(len(people)))]
    for one in asked:
        feature = grouping(ASKED, people, one)
        rows = ((name, np.flatnonzero(feature.code == i)) for i, name in enumerate(feature.groups))
        found += [(name, feature.name, at) for name, at in rows if len(at)]
    group, feature_of, cells = zip(*found)
    return group, feature_of, list(cells)


def _by_holm(
    found: Sequence[Sequence[Difference]], better: np.ndarray, ranked: np.ndarray, margin: float
) -> dict[str, Any]:
    """One-sided p over rows and runs, corrected for the cells that are judged."""
    sides = {"p_worse": -better, "p_better": better}
    raw = {
        name: np.array([[d.beyond(sign, margin) for d in row] for row, sign in zip(found, signs)])
        for name, signs in sides.items()
    }
    known = ranked & (better != 0)[:, None]
    return {name: intervals.holm(np.where(known, p, np.nan)) for name, p in raw.items()}


def _numbers(found: Sequence[Sequence[Difference]]) -> dict[str, Any]:
    names = {"value_a": "a", "value_b": "b", "difference": "size", "low": "low", "high": "high"}
    numbers = {name: np.array([[getattr(d, part) for d in row] for row in found]) for name, part in names.items()}
    return numbers | {f"error_{part}": np.array([getattr(row[0], part) for row in found]) for part in ("rows", "runs")}


def _who(a: Predictions, b: Predictions, one: bool) -> dict[str, Any]:
    first, other = a.label == a.y, b.label == b.y
    rows = {
        "both_right": first & other,
        "only_a": first & ~other,
        "only_b": other & ~first,
        "both_wrong": ~first & ~other,
        "other_answer": a.label != b.label,
    }
    return {name: int(of.sum()) if one else -1 for name, of in rows.items()}


def _scored(pairs: Sequence[Sequence[Sequence[Measure]]]) -> dict[str, dict[str, float]]:
    """The values of each run over everybody, for the ledger."""
    return {
        f"{name}{i or ''}": {row[s][i].name: float(row[s][i].value()) for row in pairs}
        for s, name in enumerate("ab")
        for i in range(len(pairs[0][s]))
    }


def _names(sides: Sequence[Sequence[Predictions]]) -> dict[str, Any]:
    first, other = (
        str(side[0].provenance.model.get("name") or side[0].provenance.data.get("name") or name)
        for side, name in zip(sides, "ab")
    )
    return {"a": first, "b": other} if first != other else {"a": f"{first} (a)", "b": f"{other} (b)"}


def _warnings(sides: Sequence[Sequence[Predictions]], people: Predictions, one: bool) -> tuple[str, ...]:
    said = [w for side in sides for p in side for w in p.warnings]
    if one:
        said.append(
            "one training run a side: the difference is between two files, not between two ways to train; several seeds "
            "a side would tell"
        )
    elif min(map(len, sides)) == 1:
        said.append("one side is a single training run: the other side's spread over runs is taken for it")
    if len(people) < 30:
        said.append(f"{len(people)} rows: fewer than 30 settle nothing")
    if len(np.unique(people.y)) < 2:
        said.append(f"every row is of the class {people.classes[people.y[0]]!r}, so that only accuracy can be told")
    return tuple(dict.fromkeys(said))
