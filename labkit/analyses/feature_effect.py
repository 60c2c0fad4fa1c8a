"""What does a model's answer do when one column changes?"""

from __future__ import annotations

import numpy as np

from labkit.analyses._columns import ALIKE, answers, associations, class_of, place, require_table
from labkit.analyses._guard import DEFAULT_BATCH, Run, as_split, check_classifier, unchanged
from labkit.analyses._preflight import preflight
from labkit.core import intervals, resampling
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.records.feature_effect import FeatureEffect

ASKED = "feature_effect"
LINES = 50  # single rows whose lines are kept
Z = 1.959963984540054


def feature_effect(
    model: Classifier,
    data: Split,
    feature: str | int,
    target: int | str | None = None,
    *,
    values: int = 20,
    rows: int = 1000,
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
) -> FeatureEffect:
    """Partial dependence (Friedman, 2001, doi 10.1214/aos/1013203451), single rows' lines (Goldstein et al., 2013, arXiv
    1309.6392) and accumulated local effects (Apley and Zhu, 2016, arXiv 1612.08468) of one column.

    Partial dependence sets the column for every row, also where no such rows are: with columns that move together it
    asks about people who do not exist. Accumulated local effects move each row only to the ends of its own interval, and
    are not misled; they need an order, so categories have none. Where the two part, the second is to be believed.

    Args:
        data: a table; ``rows`` of it, drawn by ``seed``, are used.
        feature: a column, by name or number.
        target: the class whose probability is followed; the last one where none is named.
        values: how many values or intervals of a number, at quantiles of the rows; categories are all taken.

    Raises:
        Refused: data that are no table, an unknown column or class, fewer than two values of either.
    """
    check_classifier(model, ASKED, values=True)
    data = require_table(ASKED, data)
    at = place(ASKED, data, feature)
    wanted = len(model.classes) - 1 if target is None else class_of(f"{ASKED} for a class", model, target)
    for name, number in (("values", values), ("rows", rows)):
        if not isinstance(number, int | np.integer) or isinstance(number, bool) or number < 2:
            raise Refused(ASKED, f"{name}={number!r}", "a whole number of at least 2")
    about = data.schema.features[at]
    if len(data) > rows:
        data = data[np.sort(resampling.stream(seed, ASKED).permutation(len(data))[:rows])]
    x, y, described = as_split(data, model)
    options = {"feature": about.name, "target": model.classes[wanted], "values": values, "rows": rows}
    run = Run(ASKED, options, seed, model, described, batch_size, values=True)
    preflight(run, model, x, y)
    column = x[:, at]
    grid = np.unique(column) if about.categories else _quantiles(column, values)
    if len(grid) < 2:
        raise Refused(ASKED, f"the column {about.name!r} with one value on {len(x)} rows", "a column that differs")
    with unchanged(model):
        lines = np.stack([answers(run, model, _moved(x, at, np.full(len(x), v)), wanted) for v in grid], 1)
        edges = np.zeros(0) if about.categories else grid
        local = _accumulated(run, model, x, at, edges, wanted) if len(edges) else (edges, edges, edges)
    mean = lines.mean(0)
    ends = np.array([intervals.mean(lines[:, k]) for k in range(len(grid))])
    rise, each = mean[-1] - mean[0], lines[:, -1] - lines[:, 0]
    alike = associations(data)[at]
    alike[at] = 0
    near = np.flatnonzero(alike >= ALIKE)
    if len(near):
        names = ", ".join(data.schema.features[i].name for i in near)
        run.warn(f"{about.name} hardly moves apart from {names}: partial dependence asks about rows that hardly exist")
    kept = np.linspace(0, len(x) - 1, min(LINES, len(x))).astype(int)
    return FeatureEffect(
        provenance=run.provenance(),
        warnings=tuple(run.warnings),
        feature=about.name,
        unit=about.unit,
        categories=tuple(about.categories[int(v)] for v in grid) if about.categories else (),
        target=model.classes[wanted],
        grid=grid.astype(np.float64),
        count=np.bincount(np.abs(column[:, None] - grid).argmin(1), minlength=len(grid)),
        partial=mean,
        partial_low=ends[:, 0],
        partial_high=ends[:, 1],
        lines=lines[kept],
        at=column[kept].astype(np.float64),
        against=-1 if about.categories else int((each * np.sign(rise) < -1e-9).sum()),
        edges=edges.astype(np.float64),
        local=local[0],
        local_low=local[1],
        local_high=local[2],
        alike=tuple(data.schema.features[i].name for i in near),
        association=alike[near],
        n=len(x),
    )


def _quantiles(column: np.ndarray, values: int) -> np.ndarray:
    """So many values of the column, from its least to its greatest, with equally many rows between them."""
    return np.unique(np.quantile(column, np.linspace(0, 1, values + 1), method="inverted_cdf"))


def _moved(x: np.ndarray, at: int, to: np.ndarray) -> np.ndarray:
    moved = x.copy()
    moved[:, at] = to
    return moved


def _accumulated(
    run: Run, model: Classifier, x: np.ndarray, at: int, edges: np.ndarray, wanted: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The centred effect up to each edge with its interval, from each interval's count, mean and variance."""
    part = np.clip(np.searchsorted(edges, x[:, at], side="left") - 1, 0, len(edges) - 2)
    rise = answers(run, model, _moved(x, at, edges[part + 1]), wanted)
    rise -= answers(run, model, _moved(x, at, edges[part]), wanted)
    n = np.bincount(part, minlength=len(edges) - 1)
    mean = np.bincount(part, rise, minlength=len(n)) / np.maximum(n, 1)
    spread = np.bincount(part, (rise - mean[part]) ** 2, minlength=len(n)) / np.maximum(n - 1, 1)
    # up to each edge the sum of the means before it; less what the rows have on average, half of it in their own interval
    summed = np.tril(np.ones((len(edges), len(n))), -1)
    centred = summed - (n / n.sum()) @ ((summed[:-1] + summed[1:]) / 2)
    effect = centred @ mean
    half = Z * np.sqrt(centred**2 @ (spread / np.maximum(n, 1)))
    return effect, effect - half, effect + half
