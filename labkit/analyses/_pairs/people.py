"""Whether several models' answers are for the same people, and who is a hit of a rate by each of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labkit.analyses._measure import Measure
from labkit.core.intervals import Rate
from labkit.core.refused import Refused
from labkit.records.predict import Predictions

Runs = Predictions | Sequence[Predictions]


def runs(asked: str, name: str, given: Runs) -> list[Predictions]:
    """One set of predictions, or those of several training runs, as a list; refused when there is none."""
    if isinstance(given, Predictions):
        return [given]
    listed = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    strange = [type(p).__name__ for p in listed if not isinstance(p, Predictions)]
    if strange or not listed:
        what = f"a {strange[0]} as {name}" if strange else f"no predictions as {name}"
        raise Refused(asked, what, "Predictions, or a list of them, one a training run")
    return listed


def same_people(asked: str, first: Predictions, other: Predictions, *, inputs: bool = True) -> list[str]:
    """Refuse predictions for other people, or for the same in another order.

    Args:
        inputs: whether other inputs of the same people are refused too; else the warnings that are returned name them.
    """
    instead = "two predictions for the same people, in the same order, over the same classes"
    if first.classes != other.classes or len(first) != len(other) or not np.array_equal(first.y, other.y):
        given = f"{len(first)} and {len(other)} rows over {len(first.classes)} and {len(other.classes)} classes"
        raise Refused(asked, f"{given}, whose truth differs", instead)
    for name in set(first.groups) & set(other.groups):
        if not np.array_equal(first.groups[name], other.groups[name]):
            raise Refused(asked, f"groups by {name} that differ before and after", instead)
    if first.row is None or other.row is None or np.array_equal(first.row, other.row):
        return []
    if np.array_equal(np.sort(first.row), np.sort(other.row)):
        raise Refused(asked, "the same inputs in another order", instead)
    changed = int((first.row != other.row).sum())
    if inputs:
        given = f"other inputs in {changed} of {len(first)} rows"
        raise Refused(asked, given, f"{instead}; for models that read other columns, predictions without inputs")
    return [f"the inputs of {changed} of {len(first)} people differ before and after, which is a part of the change"]


def hits(measure: Measure) -> np.ndarray | None:
    """(n,) whether each row is a hit of a rate: 1 or 0, and nan where the rate does not look at it. None of no rate."""
    if not measure.weighs or not isinstance(measure.value(), Rate):
        return None
    columns = list(measure.columns.values())
    _, first, code = np.unique(np.stack(columns, 1), axis=0, return_index=True, return_inverse=True)
    cells = {name: column[first] for name, column in measure.columns.items()}
    single = np.asarray(measure.function(**cells, weight=np.eye(len(first)), **measure.options))
    return single[code.ravel()]


def hits_of_both(first: Measure, other: Measure) -> tuple[np.ndarray, np.ndarray] | None:
    """The hits of two models; None where the rate looks at other rows when answers change, as precision does."""
    one, two = hits(first), hits(other)
    if one is None or two is None or not np.array_equal(np.isnan(one), np.isnan(two)):
        return None
    return one, two
