"""What an explanation is asked for: which number of the output, compared with which baseline, over which features."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.analyses._guard import as_array, as_split, check_classifier
from labkit.analyses._preflight import check_inputs, check_targets
from labkit.core import method as methods
from labkit.core.refused import Refused, unknown
from labkit.data.split import Split
from labkit.models import reading
from labkit.models.classifier import Classifier
from labkit.models.generative import Generative


@dataclass(frozen=True)
class Features:
    """Which entries of an input make one feature, and what the features are called."""

    number: np.ndarray
    names: tuple[str, ...] = ()


def what_of(model: Classifier | Generative, target: Any, against: Any) -> tuple[Classifier, Any, str]:
    """The model whose output is the number that is asked for, the target in it, and that number in words."""
    if callable(target):
        if against is not None:
            raise Refused("a number of the output", f"against={against!r} beside it", "one of the two")
        asked = reading.number(model, target)
        return asked, 0, f"{asked.classes[0]} of {model.name}"
    if isinstance(model, Generative):
        given = f"{model.name}, a model that makes data and names no classes"
        instead = "target=a function of (module, x) that gives one number for each row, or a classifier"
        raise Refused("an explanation", given, instead)
    check_classifier(model, "an explanation", values=True)
    target = numbered(model, target)
    if model.outputs == "values":
        if target is None and len(model.classes) > 1:
            given = f"no target for {len(model.classes)} numbers"
            raise Refused(f"an explanation of {model.name}", given, f"target= one of {', '.join(model.classes)}")
        return model, 0 if target is None else target, "value"
    if against is None:
        return model, target, "logit"
    if against == "rest":
        return reading.leads(model, "rest"), target, "logit, less the largest of the others"
    other = int(check_targets("against", numbered(model, against), 1, len(model.classes))[0])
    if target is not None and (np.asarray(target) == other).any():
        raise Refused("a contrast", f"the class {model.classes[other]!r} against itself", "two classes")
    return reading.leads(model, other), target, f"logit, less that of {model.classes[other]}"


def numbered(model: Classifier, target: Any) -> Any:
    """Class names as numbers; anything else as it is."""
    given = as_array(f"a class of {model.name}", target)
    if given.dtype.kind != "U":
        return target
    for name in given.ravel():
        if str(name) not in model.classes:
            raise unknown(f"a class of {model.name}", str(name), model.classes)
    return np.vectorize(model.classes.index)(given.astype(object))


def baseline(asked: str, model: Classifier, given: Any, x: np.ndarray) -> np.ndarray:
    """(n, *shape) baselines of the inputs' type, one for each row."""
    if given is None:
        given = model.reference(x)
    given = as_array(asked, given)
    if given.dtype.kind not in "biuf" or given.shape not in ((), x.shape[1:], x.shape):
        what = f"a baseline of type {given.dtype} and shape {given.shape} for inputs of shape {x.shape}"
        raise Refused(asked, what, "a number, one input, or one for each row")
    start = np.broadcast_to(given, x.shape).astype(x.dtype)
    if model.padding is not None:  # a baseline in the place of padding would make the input longer
        start = np.where(x == model.padding, x, start)
    low, high = model.bounds or (-np.inf, np.inf)
    if not np.isfinite(start).all() or start.min() < low - 1e-6 or start.max() > high + 1e-6:
        what = f"a baseline with values from {start.min():.3g} to {start.max():.3g}"
        raise Refused(asked, what, f"finite values within the bounds {low:g} to {high:g}")
    same = np.flatnonzero((start == x).reshape(len(x), -1).all(1))
    if len(same):
        what = f"a baseline equal to the input on {len(same)} of {len(x)} rows (first: {same[0]})"
        raise Refused(asked, what, "another baseline: there is no difference to attribute")
    return start


def features(asked: str, given: Any, x: np.ndarray, names: tuple[str, ...]) -> Features | None:
    """Which feature each entry belongs to: an array of numbers, or names with the places of their columns.

    Columns that no name takes stay features of their own.
    """
    if given is None:
        return None
    if isinstance(given, Mapping):
        return _named(asked, given, x, names)
    given = as_array(asked, given)
    if given.dtype.kind not in "iu" or given.shape != x.shape[1:]:
        what = f"features of type {given.dtype} and shape {given.shape} for inputs of shape {x.shape}"
        raise Refused(asked, what, f"whole numbers in an array of the shape {x.shape[1:]}, or {{name: columns}}")
    return Features(np.unique(given, return_inverse=True)[1].reshape(given.shape))


def _named(asked: str, given: Mapping[str, Any], x: np.ndarray, names: tuple[str, ...]) -> Features:
    if x.ndim != 2:
        raise Refused(asked, f"named features for inputs of shape {x.shape}", "an array with one number an entry")
    owner: dict[int, str] = {}
    for name, places in given.items():
        for place in places if isinstance(places, Iterable) and not isinstance(places, str) else (places,):
            column = names.index(place) if place in names else place
            if not isinstance(column, int | np.integer) or not 0 <= column < x.shape[1]:
                what = f"the column {place!r} of the feature {name!r}"
                raise Refused(asked, what, f"columns from 0 to {x.shape[1] - 1}, or their names")
            if int(column) in owner:
                raise Refused(asked, f"the column {place!r} in two features", "each column in one")
            owner[int(column)] = str(name)
    called = [owner.get(i, names[i] if names else f"feature {i}") for i in range(x.shape[1])]
    order = list(dict.fromkeys(called))
    return Features(np.array([order.index(name) for name in called]), tuple(order))


def background(
    asked: str, function: Callable[..., Any], model: Classifier, given: Any, x: np.ndarray
) -> np.ndarray | None:
    """(m, *shape) rows that stand for what inputs usually are."""
    if given is None:
        if "background" in methods.needs(function):
            raise Refused(
                asked,
                "no background",
                "background=data.train[:100], rows that show what inputs usually are; or integrated_gradients, which "
                "compares with one baseline",
            )
        return None
    rows = given.x if isinstance(given, Split) else as_split(given, model)[0]
    if rows.shape[1:] != x.shape[1:] or not len(rows):
        what = f"a background of shape {rows.shape} for inputs of shape {x.shape}"
        raise Refused(asked, what, "at least one row of the inputs' shape")
    check_inputs(f"{asked}, background", model, rows)
    return rows
