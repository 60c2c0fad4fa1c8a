"""One metric over the groups of one feature: each group's value, the largest difference, and what it could have been."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.analyses._groups.grouping import Grouping
from labkit.analyses._measure import Measure
from labkit.core import intervals, power, ratios, resampling

NAN = float("nan")
PER_GROUP = (
    *("value", "low", "high", "hits", "of", "why", "ranked", "detectable"),
    *("ratio", "ratio_low", "ratio_high"),
)
PER_FEATURE = (
    *("highest", "lowest", "surest_high", "surest_low", "worst", "worst_low", "worst_high"),
    *("difference", "difference_low", "difference_high", "corrected"),
    *("null95", "null99", "p", "least_ratio", "null_ratio05", "needed"),
)
GROUP_INDICES = ("highest", "lowest", "surest_high", "surest_low", "worst")


@dataclass(frozen=True)
class Terms:
    """What the caller of an audit settles: replicates, seed, what a group needs to be ranked, what difference matters."""

    replicates: int
    seed: int
    least: int
    least_of: int
    of_interest: float


@dataclass(frozen=True)
class Values:
    """A metric in each of the groups.

    Attributes:
        value, low, high, hits, of: (groups,) with their intervals; the counts of proportions, else nan.
        draws: (replicates, groups) of the bootstrap; nan for proportions.
        ranked, why: (groups,) whether the group is compared, and why it was not measured.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    hits: np.ndarray
    of: np.ndarray
    draws: np.ndarray
    ranked: np.ndarray
    why: np.ndarray

    @property
    def counted(self) -> bool:
        """Whether the ranked values are proportions."""
        return bool(self.ranked.any()) and not np.isnan(self.of[self.ranked]).any()


def compare(measure: Measure, feature: Grouping, terms: Terms) -> tuple[dict[str, Any], list[str]]:
    """The entries of PER_GROUP, as (groups,) arrays, and of PER_FEATURE; and what must be warned of."""
    values, warnings = _values(measure, feature, terms)
    generator = resampling.stream(terms.seed, measure.name, feature.name, "null")
    part: dict[str, Any] = {name: getattr(values, name) for name in PER_GROUP if hasattr(values, name)}
    part |= _ratios(values) | _largest(measure, feature, values, terms, generator)
    return part | _worst(measure, values) | _power(measure, feature, values, terms), warnings


def _values(measure: Measure, feature: Grouping, terms: Terms) -> tuple[Values, list[str]]:
    size = len(feature.groups)
    n, truth = feature.counts(), measure.truth
    value, low, high, hits, of = (np.full(size, NAN) for _ in range(5))
    draws = np.full((terms.replicates, size), NAN)
    why = [""] * size
    enough = n >= terms.least
    positives = n if truth is None else feature.counts(truth)
    for g, name in enumerate(feature.groups):
        if measure.constant:
            why[g] = "the model gives everybody the same answer"
            continue
        rows = np.flatnonzero(feature.code == g)
        generator = resampling.stream(terms.seed, measure.name, feature.name, name)
        value[g], low[g], high[g], drawn = (found := measure.interval(rows, terms.replicates, generator))
        if isinstance(found[0], intervals.Rate):
            hits[g], of[g] = found[0].hits, found[0].of
            enough[g] &= found[0].of >= terms.least_of
        elif measure.compares_classes and truth is not None:
            enough[g] &= min(positives[g], n[g] - positives[g]) >= terms.least_of
        if drawn is not None:
            draws[:, g] = drawn
        if np.isnan(value[g]):
            why[g] = _why(n[g], None if truth is None else positives[g])
    measured = ~np.isnan(value)
    ranked, warnings = measured & enough, []
    if ranked.sum() < 2 <= measured.sum():
        ranked = measured
        said = f"fewer than two groups of {terms.least} people; the small ones are compared all the same"
        warnings = [f"{feature.name}: {said}"]
    return Values(value, low, high, hits, of, draws, ranked, np.array(why)), warnings


def _why(n: int, positives: int | None) -> str:
    if n == 0:
        return "no people"
    if positives == 0:
        return "no positive case"
    if positives == n:
        return "no negative case"
    return "undefined on these people, as precision is without a positive answer"


def _ratios(values: Values) -> dict[str, np.ndarray]:
    """Each value over the highest ranked one; an interval where both are proportions."""
    value, hits, of, ranked = values.value, values.hits, values.of, values.ranked
    nothing = np.full(len(value), NAN)
    if not ranked.any() or value[ranked].max() <= 0 or value[ranked].min() < 0:
        return {"ratio": nothing, "ratio_low": nothing, "ratio_high": nothing}
    top = int(np.argmax(np.where(ranked, value, -np.inf)))
    low, high = ratios.ratio(hits, of, hits[top], of[top])
    itself = np.arange(len(value)) == top
    return {
        "ratio": value / value[top],
        "ratio_low": np.where(itself, 1.0, low),
        "ratio_high": np.where(itself, 1.0, high),
    }


def _largest(
    measure: Measure, feature: Grouping, values: Values, terms: Terms, generator: np.random.Generator
) -> dict[str, Any]:
    """The largest difference of the ranked groups, its interval, and its null."""
    ranked = np.flatnonzero(values.ranked)
    value, hits, of, draws = values.value[ranked], values.hits[ranked], values.of[ranked], values.draws[:, ranked]
    if len(ranked) < 2:
        return dict.fromkeys(PER_FEATURE, NAN) | dict.fromkeys(GROUP_INDICES, -1)
    difference = float(resampling.spread(value))
    if values.counted:
        low, high = intervals.largest_difference(hits, of)
        draws = generator.binomial(of.astype(int), value, (terms.replicates, len(of))) / of
        dealt = np.column_stack([hits, of - hits]).astype(np.int64)
        null = resampling.permuted_tables(dealt, terms.replicates, generator)[:, :, 0] / of
    else:
        low, high = resampling.largest_difference(draws, value, sizes=feature.counts()[ranked])
        code = np.full(len(feature.groups) + 1, -1)
        code[ranked] = np.arange(len(ranked))
        null = measure.permuted(code[feature.code], len(ranked), terms.replicates, generator)
    far = resampling.spread(null)
    sizes = np.where(np.isnan(of), feature.counts()[ranked], of)
    scaled, (high_group, low_group) = resampling.surest(value, sizes)
    exact = len(ranked) == 2 and values.counted
    positive = value.max() > 0 and value.min() >= 0
    return {
        "highest": int(ranked[value.argmax()]),
        "lowest": int(ranked[::-1][value[::-1].argmin()]),  # another group where all are alike
        "surest_high": int(ranked[high_group]),
        "surest_low": int(ranked[low_group]),
        "difference": difference,
        "difference_low": low,
        "difference_high": min(high, measure.most - measure.least),
        "corrected": max(0.0, 2 * difference - float(np.nanmean(resampling.spread(draws)))),
        "null95": float(np.nanquantile(far, 0.95)),
        "null99": float(np.nanquantile(far, 0.99)),
        "p": resampling.exact_difference(hits, of)
        if exact
        else resampling.share_as_large(resampling.surest(null, sizes)[0], float(scaled)),
        "least_ratio": float(resampling.least_ratio(value)) if positive else NAN,
        "null_ratio05": float(np.nanquantile(resampling.least_ratio(null), 0.05)) if positive else NAN,
    }


def _worst(measure: Measure, values: Values) -> dict[str, Any]:
    """The ranked group in which the metric is worst, with an interval that allows for having picked it.

    All groups' intervals hold at once (Bonferroni), so that the worst of their ends enclose the worst true value.
    """
    ranked = np.flatnonzero(values.ranked)
    if not measure.better or not len(ranked):
        return {"worst": -1, "worst_low": NAN, "worst_high": NAN}
    level = 1 - 0.05 / len(ranked)
    if values.counted:
        ends = np.array(intervals.wilson(values.hits[ranked], values.of[ranked], level))
    else:
        each = [resampling.bias_corrected(values.draws[:, g], values.value[g], level) for g in ranked]
        ends = np.clip(np.array(each).T, measure.least, measure.most)
    pick = np.min if measure.better > 0 else np.max
    at = (values.value[ranked] * measure.better).argmin()
    return {"worst": int(ranked[at]), "worst_low": float(pick(ends[0])), "worst_high": float(pick(ends[1]))}


def _power(measure: Measure, feature: Grouping, values: Values, terms: Terms) -> dict[str, Any]:
    """What could have been found (power 0.8 at 5 %): for each group the least difference from the other ranked people,
    and the people in each of two equal groups that the difference of interest takes."""
    n, ranked = feature.counts().astype(float), values.ranked
    nothing = np.full(len(n), NAN)
    if ranked.sum() < 2:
        return {"detectable": nothing, "needed": NAN}
    size = values.of if values.counted else n
    others = np.where(ranked, size[ranked].sum() - size, size[ranked].sum())
    if values.counted:
        share = np.nansum(values.hits[ranked]) / np.nansum(size[ranked])
        found = power.detectable_difference(share, size, others, upward=share <= 0.5)
        needed = power.people_for_difference(share, terms.of_interest if share <= 0.5 else -terms.of_interest)
        people = needed * n[ranked].sum() / size[ranked].sum()
        return {"detectable": found, "needed": float(np.ceil(people))}
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.nanstd(values.draws, 0) if not np.isnan(values.draws).all() else nothing
        found = (power.normal(0.975) + power.normal(0.8)) * error * np.sqrt(1 + size / others)
        needed = 2 * ((power.normal(0.975) + power.normal(0.8)) / terms.of_interest) ** 2 * (error**2 * size)[ranked]
    bounded = np.isfinite(measure.most - measure.least)
    return {
        "detectable": np.where(np.isnan(values.value), NAN, found),
        "needed": float(np.ceil(np.nanmean(needed))) if bounded else NAN,
    }
