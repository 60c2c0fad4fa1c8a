"""Columns of a table: found by name, taken together, and how much one says of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labkit.analyses._guard import Run, logits, probabilities
from labkit.core.refused import Refused, unknown
from labkit.data.split import Split
from labkit.models.classifier import Classifier

ALIKE = 0.7  # association from which two columns hardly move apart
ROWS = 2000  # rows on which associations are measured


def require_table(asked: str, data: Any) -> Split:
    """The data, refused unless they are a Split whose inputs are columns."""
    if not isinstance(data, Split):
        raise Refused(asked, f"a {type(data).__name__}", "a Split with named columns, such as data.test")
    if data.schema.modality != "tabular" or not len(data):
        given = f"{len(data)} rows of {data.schema.modality} data"
        raise Refused(asked, given, "a table; of pictures, texts and sounds labkit.explain shows single inputs")
    return data


def place(asked: str, split: Split, feature: str | int) -> int:
    """The number of a column given by its name or number."""
    names = [f.name for f in split.schema.features]
    if isinstance(feature, str) and feature in names:
        return names.index(feature)
    if isinstance(feature, int | np.integer) and not isinstance(feature, bool) and 0 <= feature < len(names):
        return int(feature)
    raise unknown(f"{asked} of a column", str(feature), names)


def together(asked: str, split: Split, features: Mapping[str, Sequence[str | int]] | None) -> dict[str, list[int]]:
    """The columns of each feature by its name: those named together, then every other column alone."""
    grouped = {str(k): [place(asked, split, v) for v in columns] for k, columns in (features or {}).items()}
    taken = [column for columns in grouped.values() for column in columns]
    if len(set(taken)) != len(taken):
        raise Refused(asked, "a column in two features", "each column in one")
    alone = {f.name: [i] for i, f in enumerate(split.schema.features) if i not in taken}
    return grouped | alone


def answers(run: Run, model: Classifier, x: np.ndarray, target: int) -> np.ndarray:
    """(n,) the target's probability, or its value where the outputs are no classes."""
    out = logits(run, model, x)
    return out[:, target].astype(np.float64) if model.outputs == "values" else probabilities(out)[:, target]


def associations(split: Split) -> np.ndarray:
    """(columns, columns) how much of one column another tells, from 0 to 1: the size of Spearman's correlation of two
    numbers, Cramer's V of two categories (Cramer, 1946), the correlation ratio of a number in categories (Pearson, 1905).

    The two for categories are above 0 by chance; what chance alone would give on average is taken off.
    """
    columns, coded = split.x.T, [size > 0 for size in split.schema.sizes]
    found = np.eye(len(columns))
    for i in range(len(columns)):
        for j in range(i):
            found[i, j] = found[j, i] = between(columns[i], coded[i], columns[j], coded[j])
    return found


def between(a: np.ndarray, a_coded: bool, b: np.ndarray, b_coded: bool) -> float:
    """``associations`` of two columns, each of numbers or of category codes."""
    from scipy.stats import rankdata

    some = np.linspace(0, len(a) - 1, min(len(a), ROWS)).astype(int)
    a, b = (v[some].astype(int) if coded else rankdata(v[some]) for v, coded in ((a, a_coded), (b, b_coded)))
    if a_coded and b_coded:
        return _cramer(a, b)
    if a_coded or b_coded:
        code, value = (a, b) if a_coded else (b, a)
        return _ratio(np.unique(code, return_inverse=True)[1], value)
    spread = np.std(a) * np.std(b)
    return float(abs(np.mean((a - a.mean()) * (b - b.mean())) / spread)) if spread else 0.0


def _cramer(a: np.ndarray, b: np.ndarray) -> float:
    a, b = (np.unique(v, return_inverse=True)[1] for v in (a, b))
    rows, columns, n = a.max() + 1, b.max() + 1, len(a)
    if min(rows, columns) < 2:
        return 0.0
    table = np.bincount(a * columns + b, minlength=rows * columns).reshape(rows, columns)
    expected = table.sum(1, keepdims=True) * table.sum(0) / n
    by_chance = (rows - 1) * (columns - 1) / (n - 1)
    squared = max(0.0, ((table - expected) ** 2 / expected).sum() / n - by_chance)
    return float(min(1.0, np.sqrt(squared / (min(rows, columns) - 1))))


def _ratio(code: np.ndarray, value: np.ndarray) -> float:
    n, groups = np.bincount(code), code.max() + 1
    total = ((value - value.mean()) ** 2).sum()
    if groups < 2 or not total or len(value) <= groups:
        return 0.0
    between = (n * (np.bincount(code, value) / n - value.mean()) ** 2).sum()
    share = between / total
    return float(np.sqrt(max(0.0, 1 - (1 - share) * (len(value) - 1) / (len(value) - groups))))


def class_of(asked: str, model: Classifier, given: int | str) -> int:
    """The number of a class given by its name or number."""
    if isinstance(given, str) and given in model.classes:
        return model.classes.index(given)
    if isinstance(given, int | np.integer) and not isinstance(given, bool) and 0 <= given < len(model.classes):
        return int(given)
    raise unknown(asked, str(given), model.classes)
