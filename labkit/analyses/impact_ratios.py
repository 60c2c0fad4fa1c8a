"""Impact ratios as New York City's Local Law 144 has them, beside their intervals, exact tests and chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labkit.analyses._groups.grouping import Grouping, grouping
from labkit.analyses._predicted import Statement, positive_class
from labkit.core import intervals, progress, ratios, resampling
from labkit.core.refused import Refused
from labkit.records.impact_ratios import ImpactRatios
from labkit.records.predict import Predictions
from labkit.records.scores import Scores

ASKED = "impact_ratios"
# The rule lets an auditor leave out categories of less than this share of the data, and no larger ones.
TWO_PERCENT = 0.02
FIFTHS = 0.8
NAN = float("nan")


def impact_ratios(
    p: Predictions | Scores,
    by: Sequence[str | tuple[str, ...]] = ("sex", "race", ("sex", "race")),
    *,
    positive: int | str | None = None,
    exclude: float = TWO_PERCENT,
    justification: str = "",
    least: int = 30,
    seed: int = 0,
    replicates: int = 2000,
) -> ImpactRatios:
    """Selection rates (of predictions) or scoring rates (of scores) by category, and their ratios to the highest.

    The calculations of 6 RCNY 5-301 (New York City, Local Law 144 of 2021), one table a comparison set. A scoring rate
    is the share of a category whose score is strictly above the median of all scores in the sample, people of unknown
    category among them. The law sets no pass mark. What it leaves out stands beside each ratio: interval, exact test,
    number of standard deviations, selections lacking, and whether one selection more or other would turn it
    (29 CFR 1607.4(D); Questions and Answers on the Uniform Guidelines, 44 FR 11996, 1979, question 21).

    Args:
        p: answers or scores with sensitive features; truth is not needed.
        by: the comparison sets: a feature, or a tuple of several for their intersection.
        positive: the answer that counts as selected, by name or index; may be left out when the classes are 0 and 1.
        exclude: categories with a smaller share of the people whose category is known are left out of reference and
            ratios, and shown; 0 leaves out none. At most 0.02, as the rule has it.
        justification: why they are left out, which the rule wants published; by default that they are so few.
        least: categories with fewer people are called small. Their ratios stand: the rule asks for them.
        replicates: permutations for what chance alone gives.

    Raises:
        Refused: an unknown feature, no positive class named, a larger share to exclude.
    """
    options = {"by": by, "positive": positive, "exclude": exclude, "justification": justification}
    options |= {"least": least, "replicates": replicates}
    statement = Statement(ASKED, options, seed, {"data": p}, truth=False, counted=True, takes=(Predictions, Scores))
    if not by or isinstance(by, str):
        raise Refused(f"{ASKED} by {by!r}", "no list of comparison sets", "by=['sex', 'race', ('sex', 'race')]")
    if not 0 <= exclude <= TWO_PERCENT:
        instead = f"a share from 0 to {TWO_PERCENT}: the rule lets no larger categories be left out"
        raise Refused(f"{ASKED} with exclude={exclude}", "categories that are too large to be left out", instead)
    if replicates < 100:
        raise Refused(f"{ASKED} with replicates={replicates}", "too few for a 5 % point", "replicates=100 or more")
    hit, about = _outcome(p, positive)
    sets = [grouping(ASKED, p, b) for b in by]
    names = tuple(s.name for s in sets)
    if len(set(names)) < len(names):
        raise Refused(f"{ASKED} by {', '.join(names)}", "a comparison set that is named twice", "each set once")
    parts = []
    for i, one in enumerate(sets):
        progress.step(ASKED, i, len(sets))
        parts.append(_one(one, hit, exclude, replicates, resampling.stream(seed, ASKED, one.name)))
    progress.step(ASKED, len(sets), len(sets))
    found, each = _joined(parts, [len(s.groups) for s in sets])
    nothing = not (each["least_category"] >= 0).any()
    return ImpactRatios(
        provenance=statement.provenance(),
        status="not_measured" if nothing else "measured",
        reason=_reason(found, names) if nothing else "",
        warnings=p.warnings,
        n_total=p.people,
        replicates=replicates,
        least=least,
        exclude=exclude,
        justification=justification or f"fewer than {100 * exclude:g} of 100 people in the data",
        sets=names,
        n_known=np.array([s.counts().sum() for s in sets]),
        unknown=np.array([s.unknown for s in sets]),
        category=np.array([g for s in sets for g in s.groups], dtype=str),
        set_of=np.repeat(np.arange(len(sets)), [len(s.groups) for s in sets]),
        small=found["n"] < least,
        p_holm=intervals.holm(found["p"]),
        **about,
        **each,
        **found,
    )


def _joined(parts: Sequence[dict[str, Any]], sizes: Sequence[int]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The sets put together: arrays over all categories, and over the sets, whose indices count all categories."""
    arrays = [k for k, v in parts[0].items() if isinstance(v, np.ndarray)]
    found = {k: np.concatenate([part[k] for part in parts]) for k in arrays}
    each = {k: np.array([part[k] for part in parts]) for k in parts[0] if k not in arrays}
    starts = np.cumsum([0, *sizes])[:-1]
    for k in ("reference", "least_category"):
        each[k] = np.where(each[k] >= 0, each[k] + starts, -1)
    return found, each


def _outcome(p: Predictions | Scores, positive: int | str | None) -> tuple[np.ndarray, dict[str, Any]]:
    """(n,) who is selected, or scores above the median; and what that is called."""
    if isinstance(p, Predictions):
        index = positive_class(ASKED, p, positive)
        return p.label == index, {"outcome": "selection", "positive": p.classes[index], "median": NAN, "tied": 0}
    if positive is not None:
        raise Refused(f"{ASKED} of scores with positive={positive!r}", "scores, which have no classes", "no positive=")
    median = float(np.median(p.value))
    tied = int((p.value == median).sum())
    return p.value > median, {"outcome": "scoring", "positive": "", "median": median, "tied": tied}


def _one(one: Grouping, hit: np.ndarray, exclude: float, replicates: int, generator: np.random.Generator) -> Any:
    """One comparison set: arrays over its categories, and single values of the set."""
    n, hits = one.counts(), one.counts(hit)
    rate = np.divide(hits, n, out=np.full(len(n), NAN), where=n > 0)
    low, high = intervals.wilson(hits, n)
    excluded = (n > 0) & (n < exclude * n.sum())
    fit = (n > 0) & ~excluded
    top = int(np.argmax(np.where(fit, rate, -1))) if fit.any() and rate[fit].max() > 0 else -1
    part = {"n": n, "hits": hits, "rate": rate, "rate_low": low, "rate_high": high, "excluded": excluded}
    part |= {"why": _why(n, excluded, nobody=top < 0), "ratio_of_all": _over_highest(rate)}
    return part | _beside(hits, n, fit, top) | _by_chance(hits, n, fit, top, replicates, generator)


def _why(n: np.ndarray, excluded: np.ndarray, nobody: bool) -> np.ndarray:
    none = "nobody in the set is selected" if nobody else ""
    return np.where(n == 0, "no people", np.where(excluded, "left out: too few people", none))


def _over_highest(rate: np.ndarray) -> np.ndarray:
    highest = np.nanmax(rate, initial=0)
    return rate / highest if highest > 0 else np.full(len(rate), NAN)


def _beside(hits: np.ndarray, n: np.ndarray, fit: np.ndarray, top: int) -> dict[str, np.ndarray]:
    """Each category against the reference: ratio, difference, exact test, and what single selections would do."""
    names: tuple[str, ...] = ("ratio", "ratio_low", "ratio_high", "difference", "difference_low", "difference_high")
    names += ("p", "deviations", "lacking", "lacking_fifths", "one_more")
    part = {k: np.full(len(n), NAN) for k in names} | {"turns": np.zeros(len(n), bool)}
    if top < 0:
        return part
    at, others = np.flatnonzero(fit), np.flatnonzero(fit & (np.arange(len(n)) != top))
    h, m, s, t = hits[others], n[others], hits[top], n[top]
    part["ratio"][at] = (hits[at] / n[at]) / (s / t)
    part["ratio_low"][others], part["ratio_high"][others] = ratios.ratio(h, m, s, t)
    part["difference"][at] = hits[at] / n[at] - s / t
    part["difference_low"][others], part["difference_high"][others] = intervals.newcombe(h, m, s, t)
    for k, own in (("ratio", 1.0), ("difference", 0.0)):
        part[f"{k}_low"][top] = part[f"{k}_high"][top] = own
    pairs = [np.array([g, top]) for g in others]
    part["p"][others] = [resampling.exact_difference(hits[pair], n[pair]) for pair in pairs]
    together = (h + s) / (m + t)
    spread = np.sqrt(together * (1 - together) * (1 / m + 1 / t))
    part["deviations"][others] = np.divide(h / m - s / t, spread, out=np.zeros(len(h)), where=spread > 0)
    # in whole numbers: the least k with (h + k) / m >= s / t, and >= 4 s / 5 t
    part["lacking"][at] = np.maximum(0, -(-n[at] * s // t) - hits[at])
    part["lacking_fifths"][at] = np.maximum(0, -(-n[at] * 4 * s // (5 * t)) - hits[at])
    room = h < m
    part["one_more"][others] = np.where(room, (h + 1) / m / (s / t), NAN)
    part["turns"][others] = room & (h * t < s * m) & ((h + 1) * t > (s - 1) * m)
    return part


def _by_chance(
    hits: np.ndarray, n: np.ndarray, fit: np.ndarray, top: int, replicates: int, generator: np.random.Generator
) -> dict[str, Any]:
    """The set's least ratio, beside those of equal categories: the hits dealt anew to categories of these sizes."""
    at = np.flatnonzero(fit)
    if top < 0 or len(at) < 2:
        return dict.fromkeys(("least_ratio", "null05", "null_fifths", "p_least"), NAN) | {
            "reference": top,
            "least_category": -1,
        }
    rate = hits[at] / n[at]
    value = float(resampling.least_ratio(rate))
    dealt = np.column_stack([hits[at], n[at] - hits[at]]).astype(np.int64)
    null = resampling.least_ratio(resampling.permuted_tables(dealt, replicates, generator)[:, :, 0] / n[at])
    return {
        "reference": top,
        "least_ratio": value,
        "least_category": int(at[rate.argmin()]),
        "null05": float(np.quantile(null, 0.05)),
        "null_fifths": float((null < FIFTHS).mean()),
        "p_least": resampling.share_as_large(-null, -value),
    }


def _reason(found: dict[str, np.ndarray], names: tuple[str, ...]) -> str:
    if found["hits"].sum() == 0:
        return f"nobody whose category is known is selected, in {', '.join(names)}: a ratio of nothing to nothing"
    return f"no set of {', '.join(names)} has two categories to compare; it takes known categories of two kinds"
