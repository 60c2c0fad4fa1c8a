"""Curves of models trained with several seeds and judged on the same rows: their noise, and whether they have a peak."""

from __future__ import annotations

import numpy as np

from labkit.core.intervals import wilson
from labkit.core.resampling import PART

Ends = tuple[np.ndarray, np.ndarray]


def by_seeds_and_rows(
    values: np.ndarray, rows: int | None = None, of_a_row: np.ndarray | None = None, most: float = 1.0
) -> Ends:
    """95 % interval of the mean over seeds of (..., seeds) shares: Student's over seeds and Wilson's over the rows that all
    seeds were judged on; their half-widths add up as variances do (Zou and Donner, 2008, doi 10.1002/sim.3095).

    Args:
        rows: how many; None where the rows are all that is spoken of.
        most: the greatest value that there is.
        of_a_row: (..., rows) each row's mean over seeds. Rows on which seeds differ vary less than rows on which all
            agree, and count for more.

    One seed says nothing of seeds: both ends are nan.
    """
    from scipy.special import stdtrit

    middle, seeds = values.mean(-1), values.shape[-1]
    if seeds < 2:
        return np.full(middle.shape, np.nan), np.full(middle.shape, np.nan)
    own = 1.0 if of_a_row is None else _of_seeds(values, of_a_row)
    over_seeds = float(stdtrit(seeds - 1, 0.975)) * np.sqrt(own * values.var(-1, ddof=1) / seeds)
    low = high = middle
    if rows is not None:
        count = np.full(middle.shape, float(rows))
        if of_a_row is not None:
            spread, binomial = of_a_row.var(-1), middle * (1 - middle)
            count = count * np.divide(binomial, spread, out=np.ones_like(middle), where=spread > binomial / seeds)
        low, high = wilson(middle * count, count)
    below, above = np.hypot(middle - low, over_seeds), np.hypot(high - middle, over_seeds)
    return np.maximum(middle - below, 0), np.minimum(middle + above, most)


def deviations(
    values: np.ndarray, of_a_row: np.ndarray | None, replicates: int, generator: np.random.Generator, *, together: bool
) -> np.ndarray:
    """(replicates, points) how far the means over seeds of (points, seeds) values may lie from what more seeds and more
    rows would give.

    The part of the seeds has Student's heavier tails; that of the rows is a bootstrap of the rows, the same ones at every
    point, since all models were judged on them. That seeds err on other rows is in both, which widens what is read from a
    few points about as much as fitting them would narrow it.

    Args:
        of_a_row: (points, rows) each row's mean over seeds; None where only the seeds are to vary.
        together: whether the values of one seed belong together, as those of one training run do.
    """
    points, seeds = values.shape
    drawn = np.zeros((replicates, points))
    if seeds > 1:
        alike = (replicates, 1 if together else points)
        heavier = np.sqrt((seeds - 1) / generator.chisquare(seeds - 1, alike))
        away = (values - values.mean(1, keepdims=True)) / np.sqrt(seeds * (seeds - 1))
        normal = generator.standard_normal((*alike, seeds))
        drawn += heavier * np.einsum("rps,ps->rp", np.broadcast_to(normal, (replicates, points, seeds)), away)
    if of_a_row is not None:
        n = of_a_row.shape[1]
        for part in np.array_split(np.arange(replicates), max(1, replicates * n // PART)):
            weight = generator.multinomial(n, np.full(n, 1 / n), len(part)) / n - 1 / n
            drawn[part] += weight @ of_a_row.T
    return drawn


def _of_seeds(values: np.ndarray, of_a_row: np.ndarray) -> np.ndarray:
    """(...) the part of the variance over seeds that more test rows would leave; the rest is that seeds err on other rows,
    which the variance of the rows' means already holds."""
    seeds, rows = values.shape[-1], of_a_row.shape[-1]
    spread = values.var(-1, ddof=1)
    by_rows = (of_a_row * (1 - of_a_row)).mean(-1) * seeds / (seeds - 1) / rows
    return np.asarray(np.clip(1 - np.divide(by_rows, spread, out=np.ones_like(spread), where=spread > 0), 0, 1))


def humps(values: np.ndarray) -> np.ndarray:
    """(..., points) how far each point of a curve stands above the lower of what lies before it and of what lies after."""
    before = np.minimum.accumulate(values, -1)
    after = np.minimum.accumulate(values[..., ::-1], -1)[..., ::-1]
    return np.asarray(values - np.maximum(before, after))


def valley(values: np.ndarray) -> np.ndarray:
    """The curve nearest to (points,) values that falls and then rises, and so has no peak: isotonic on either side of the
    best turning point."""
    from scipy.optimize import isotonic_regression

    best, least = values, np.inf
    for turn in range(len(values) + 1):
        sides = [values[:turn], values[turn:]]
        found = np.concatenate(
            [isotonic_regression(v, increasing=up).x if len(v) else v for v, up in zip(sides, (False, True))]
        )
        off = float(((values - found) ** 2).sum())
        if off < least:
            best, least = found, off
    return best
