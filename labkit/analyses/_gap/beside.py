"""What could make a gap between training and test data lie: copies, a majority, classes in another order."""

from __future__ import annotations

import numpy as np

from labkit.records.predict import Predictions

NAN = float("nan")


def seen(train: Predictions | None, test: Predictions) -> tuple[np.ndarray | None, int]:
    """(n,) which test rows stand in the training data, and how many of those have another label there, be it beside their
    own: in a large table of few categories all labels stand beside each combination."""
    if train is None or train.row is None or test.row is None:
        return None, -1
    found = np.isin(test.row, train.row)
    if not found.any():
        return found, 0
    known: dict[int, set[int]] = {}
    for row, label in set(zip(train.row.tolist(), train.y.tolist())):
        known.setdefault(row, set()).add(label)
    return found, sum(known[row] != {label} for row, label in zip(test.row[found].tolist(), test.y[found].tolist()))


def majority(train: Predictions | None, test: Predictions) -> tuple[str, float, float]:
    """The most frequent class in training (without training data, in the test data), its share of the test data, and
    how often guessing it does as well."""
    from scipy.stats import binom

    top = int(np.bincount((train or test).y, minlength=len(test.classes)).argmax())
    share = float(np.mean(test.y == top))
    hits = int(np.sum(test.y == test.label))
    return test.classes[top], share, float(binom.sf(hits - 1, len(test), share))


def log_losses(train: Predictions | None, test: Predictions) -> tuple[float, float]:
    """The mean of -log P(true class): the model's, and that of the class shares in training (or test)."""
    if test.proba is None:
        return NAN, NAN
    tiny = np.finfo(float).eps
    shares = (train or test).y
    prior = np.bincount(shares, minlength=len(test.classes)) / len(shares)
    own = test.proba[np.arange(len(test)), test.y]
    return tuple(float(-np.log(np.maximum(c, tiny)).mean()) for c in (own, prior[test.y]))  # type: ignore[return-value]


def relabelled(test: Predictions) -> tuple[float, str]:
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
