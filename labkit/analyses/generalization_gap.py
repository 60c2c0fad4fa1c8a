"""Does a model know, or does it remember?"""

from __future__ import annotations

import numpy as np

from labkit.analyses._measure import Measure, Metric
from labkit.analyses._predicted import Statement, positive_class
from labkit.core import intervals, resampling
from labkit.core.record import Outcome
from labkit.core.refused import Refused
from labkit.metrics.accuracy import accuracy
from labkit.metrics.balanced_accuracy import balanced_accuracy
from labkit.records.generalization_gap import GeneralizationGap
from labkit.records.predict import Predictions

NAN = float("nan")
ASKED = "generalization_gap"


def generalization_gap(
    train: Predictions,
    test: Predictions,
    metric: str | Metric = "accuracy",
    *,
    positive: int | str | None = None,
    seed: int = 0,
    replicates: int = 2000,
) -> GeneralizationGap:
    """One metric on training and test predictions, their difference with an interval, and what could make it lie.

    The interval is Newcombe's for a proportion and a bias-corrected bootstrap's for other metrics, rows of the two sets
    drawn apart. Beside it: the share of the majority class and an exact test against it, the test rows that also stand
    in the training data, and a renaming of the classes that would explain an accuracy far below chance.

    Args:
        train, test: what one model answered on each.
        metric: a name (``labkit.names("metrics")``) or a function ``(y_true, y_pred)``, ``(y_true, y_proba)``.
        positive: the class that counts as positive, for metrics that need one.

    Raises:
        Refused: the same data twice, different classes, a metric that the predictions do not allow.
    """
    options = {"positive": positive, "replicates": replicates}
    statement = Statement(ASKED, options, seed, {"train": train, "test": test})
    _refuse_same(train, test)
    if train.classes != test.classes:
        given = f"classes {list(train.classes)[:4]} in training and {list(test.classes)[:4]} in the test data"
        raise Refused(ASKED, given, "predictions over the same classes in the same order")
    index = _index(test, positive)
    measures = [Measure(ASKED, metric, p, index) for p in (train, test)]
    streams = [resampling.stream(seed, ASKED, side) for side in ("train", "test")]
    (fit, fit_low, fit_high, fit_draws), (new, new_low, new_high, new_draws) = (
        m.interval(np.arange(len(p)), replicates, stream) for m, p, stream in zip(measures, (train, test), streams)
    )
    gap = float(fit) - float(new)
    if isinstance(fit, intervals.Rate) and isinstance(new, intervals.Rate):
        low, high = intervals.newcombe(fit.hits, fit.of, new.hits, new.of)
        method, ends = "Newcombe", (float(low), float(high))
    elif fit_draws is not None and new_draws is not None:
        method, ends = "bootstrap", resampling.bias_corrected(fit_draws - new_draws, gap)
    else:
        method, ends = "none", (NAN, NAN)
    right = accuracy(test.y, test.label)
    right_low, right_high = intervals.wilson(np.sum(test.y == test.label), len(test))
    majority, share, majority_p = _majority(train, test)
    seen, conflicts = _seen(train, test)
    unseen = (NAN, NAN, NAN)
    if seen is not None and not seen.all():
        fresh = resampling.stream(seed, ASKED, "unseen")
        unseen = measures[1].interval(np.flatnonzero(~seen), replicates, fresh)[:3]
    loss, prior_loss = _log_losses(train, test)
    relabelled, reason = _relabelled(test)
    status: Outcome = "contradicted" if reason else "measured"
    if np.isnan(gap):
        side = "training" if np.isnan(fit) else "test"
        status, reason = "not_measured", f"{measures[0].name} is undefined on the {side} data; it takes both classes"
    return GeneralizationGap(
        provenance=statement.provenance(),
        status=status,
        reason=reason,
        warnings=_warnings(train, test),
        metric=measures[0].name,
        better=measures[0].better,
        n_train=len(train),
        n_test=len(test),
        train=float(fit),
        train_low=fit_low,
        train_high=fit_high,
        test=float(new),
        test_low=new_low,
        test_high=new_high,
        gap=gap,
        gap_low=ends[0],
        gap_high=ends[1],
        method=method,
        accuracy=float(right),
        accuracy_low=float(right_low),
        accuracy_high=float(right_high),
        balanced_accuracy=float(balanced_accuracy(test.y, test.label)),
        classes=len(test.classes),
        majority_class=majority,
        majority_share=share,
        majority_p=majority_p,
        duplicates=-1 if seen is None else int(seen.sum()),
        conflicts=conflicts,
        unseen=float(unseen[0]),
        unseen_low=unseen[1],
        unseen_high=unseen[2],
        log_loss=loss,
        log_loss_prior=prior_loss,
        relabelled=relabelled,
    )


def _refuse_same(train: Predictions, test: Predictions) -> None:
    asked = f"{ASKED} between training and test data"
    instead = "predictions on data that the model was not trained on"
    if train is test:
        raise Refused(asked, "the same predictions twice", instead)
    if len(train) != len(test):
        return
    if train.row is not None and test.row is not None:
        same = np.array_equal(np.sort(train.row), np.sort(test.row))
    else:
        same = np.array_equal(train.y, test.y) and np.array_equal(train.label, test.label) and len(train) >= 30
    if same:
        raise Refused(asked, f"the same {len(test)} rows twice", instead)


def _index(test: Predictions, positive: int | str | None) -> int | None:
    """The positive class; None where none is named, which metrics over all classes do not mind."""
    if positive is None and list(test.classes) not in (["0", "1"], ["False", "True"]):
        return None
    return positive_class(ASKED, test, positive)


def _seen(train: Predictions, test: Predictions) -> tuple[np.ndarray | None, int]:
    """(n,) which test rows stand in the training data, and how many of those have another label there."""
    if train.row is None or test.row is None:
        return None, -1
    seen = np.isin(test.row, train.row)
    if not seen.any():
        return seen, 0
    known = set(zip(train.row.tolist(), train.y.tolist()))
    pairs = zip(test.row[seen].tolist(), test.y[seen].tolist())
    return seen, sum(pair not in known for pair in pairs)


def _majority(train: Predictions, test: Predictions) -> tuple[str, float, float]:
    """The most frequent class in training, its share of the test data, and how often guessing it does as well."""
    from scipy.stats import binom

    top = int(np.bincount(train.y, minlength=len(train.classes)).argmax())
    share = float(np.mean(test.y == top))
    hits = int(np.sum(test.y == test.label))
    return test.classes[top], share, float(binom.sf(hits - 1, len(test), share))


def _log_losses(train: Predictions, test: Predictions) -> tuple[float, float]:
    """The mean of -log P(true class): the model's, and that of the class shares in training."""
    if test.proba is None:
        return NAN, NAN
    tiny = np.finfo(float).eps
    prior = np.bincount(train.y, minlength=len(train.classes)) / len(train)
    own = test.proba[np.arange(len(test)), test.y]
    return tuple(float(-np.log(np.maximum(c, tiny)).mean()) for c in (own, prior[test.y]))  # type: ignore[return-value]


def _relabelled(test: Predictions) -> tuple[float, str]:
    """When accuracy is far below chance: the accuracy under the best renaming of classes, and what to say of it."""
    from scipy.optimize import linear_sum_assignment
    from scipy.stats import binom

    k, n = len(test.classes), len(test)
    hits = int(np.sum(test.y == test.label))
    if binom.cdf(hits, n, 1 / k) > 1e-6:
        return NAN, ""
    table = np.bincount(test.label * k + test.y, minlength=k * k).reshape(k, k)
    answers, meant = linear_sum_assignment(-table)
    best = float(table[answers, meant].sum() / n)
    if best < max(0.5, table.sum(0).max() / n):
        return best, ""
    shifts = {int(s) for s in (meant - answers)[table.sum(1)[answers] > 0] % k}
    how = f"adding {shifts.pop()} to every answer" if len(shifts) == 1 else "renaming the classes"
    return best, (
        f"accuracy {hits / n:.3f} on {n} rows is far below chance ({1 / k:.3g}), and {how} gives {best:.3f}: "
        "the labels look shifted; compare the order of the classes in data and model"
    )


def _warnings(train: Predictions, test: Predictions) -> tuple[str, ...]:
    said = [*train.warnings, *test.warnings]
    if train.row is None or test.row is None:
        said.append("inputs were not kept, so that copies of training rows among the test rows cannot be seen")
    return tuple(dict.fromkeys(said))
