"""Who is worse off? A search over all parts of the feature space, and what people who were not searched say of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from labkit.analyses._measure import Metric
from labkit.analyses._slices import search
from labkit.analyses._slices.chance import by_chance, mean_of, worse
from labkit.analyses._slices.conditions import columns, conditions, copies, held
from labkit.analyses._slices.harm import Harm, Worst, difference, first_half, interval, suffered
from labkit.core import intervals, power, resampling
from labkit.data.split import Split
from labkit.records.find_slices import Slices
from labkit.records.predict import Predictions
from labkit.records.scores import Scores

ASKED = "find_slices"
SIZES = (30, 100, 300, 1000, 3000)
POWER = 0.8


def find_slices(
    p: Predictions | Scores,
    features: Split | None = None,
    metric: str | Metric | np.ndarray = "error rate",
    *,
    positive: int | str | None = None,
    worst: Worst | None = None,
    depth: int = 3,
    least: int = 30,
    most: int = 12,
    bins: int = 5,
    alpha: float = 0.05,
    seed: int = 0,
    replicates: int = 2000,
) -> Slices:
    """The parts of the feature space in which a metric is worst: conjunctions of conditions on categories and numbers.

    One half of the people is searched, level by level with admissible bounds; the worst slices are carried over to the
    other half, each only for what it adds to those before. There each is compared with the rest: an exact test of one
    side (Fisher's for rates, permutations for losses), corrected for all slices carried over, and an interval to which the
    search has done nothing.

    Args:
        p: predictions with truth, or scores; without truth for metrics that need none.
        features: the columns, rows in the order of the predictions: ``data.test``, or ``labkit.data.from_frame`` of a
            table. Sensitive features that are no columns are searched too; None searches them alone.
        metric: a rate ("error rate", "false_negative_rate", ...), another metric that is a mean over people, or (n,)
            losses, of which more is worse, nan for people who are not in question.
        positive: the class that counts as positive, for metrics that have one.
        worst: which end of the metric is worse, where the metric does not say.
        depth: conditions of a slice at most. least: people of a slice in question, in the half that is searched.
        most: slices carried over at most. bins: parts that numbers are cut into; a slice may take several in a row.
        alpha: the false discovery rate (Benjamini-Hochberg) at which a slice counts as confirmed.
        replicates: permutations.

    Raises:
        Refused: rows of other people, no table, a metric that is no mean over people or of which neither end is worse.
    """
    options = {"depth": depth, "least": least, "most": most, "bins": bins, "alpha": alpha, "replicates": replicates}
    statement, harm = suffered(ASKED, p, metric, positive, worst, options, seed)
    half = first_half(harm, seed)
    table = columns(ASKED, p, features, half & harm.asked_of, bins)
    parts = [np.flatnonzero(harm.asked_of & side) for side in (half, ~half)]
    chosen = conditions(table)
    common: dict[str, Any] = {
        "metric": harm.name, "rate": harm.rate, "positive": harm.positive, "columns": table.names, "depth": depth,
        "least": least, "searched": len(parts[0]), "confirming": len(parts[1]), "conditions": len(chosen), "alpha": alpha,
        "replicates": replicates, "warnings": p.warnings + copies(p, features),
    }  # fmt: skip
    reason = _unmeasurable(harm, parts, least)
    found = search.Searched([], 0, True, search.FLOOR)
    if not reason:
        found = search.find(table.code[parts[0]], harm.value[parts[0]], chosen, depth, least, most)
    if not found.exhaustive:
        common["warnings"] += (
            f"{len(chosen)} conditions make too many slices: the most promising alone were narrowed",
        )
    members = np.array([held(table.code, chosen[list(c)]).all(0) for c in found.sets], bool).reshape(-1, len(p))
    return Slices(
        provenance=statement.provenance(),
        status="not_measured" if reason else "measured",
        reason=reason,
        candidates=found.candidates,
        exhaustive=found.exhaustive,
        **common,
        slice=tuple(" & ".join(table.said(*chosen[c]) for c in conditions) for conditions in found.sets),
        level=np.array([len(conditions) for conditions in found.sets], int),
        **_seen(members[:, parts[0]], harm.value[parts[0]]),
        **_confirmed(harm, members[:, parts[1]], harm.value[parts[1]], alpha, replicates, seed),
        **_power(harm, members[:, parts[1]].sum(1), harm.value[parts[1]], found, alpha),
    )


def _unmeasurable(harm: Harm, parts: list[np.ndarray], least: int) -> str:
    if min(len(part) for part in parts) < 2 * least:
        return f"{sum(map(len, parts))} people in question are too few for slices of {least} in either half"
    if any(np.ptp(harm.value[part]) == 0 for part in parts):
        return f"everybody has the same {harm.name}: no slice can be worse"
    return ""


def _seen(members: np.ndarray, value: np.ndarray) -> dict[str, Any]:
    n = members.sum(1)
    return {"found_n": n, "found_value": members @ value / np.maximum(n, 1)}


def _confirmed(
    harm: Harm, members: np.ndarray, value: np.ndarray, alpha: float, replicates: int, seed: int
) -> dict[str, Any]:
    """What people who were not searched say of each slice: (slices, n) members, (n,) what each suffers."""
    n, count = members.sum(1), len(members)
    chance = by_chance(harm, members, value, replicates, resampling.stream(seed, ASKED))
    p = worse(members, value) if harm.rate else chance.each
    p_bh = intervals.benjamini_hochberg(p)
    confirmed = p_bh <= alpha
    levels = np.where(confirmed, 1 - 0.05 * confirmed.sum() / max(count, 1), 0.95)
    ends = np.array([interval(harm, value[m], level) for m, level in zip(members, levels)]).reshape(-1, 2)
    apart = np.array([difference(harm, value[m], value[~m], level) for m, level in zip(members, levels)]).reshape(-1, 2)
    inside, outside = (np.array([mean_of(value[m]) for m in side]) for side in (members, ~members))
    overall = interval(harm, value) if len(value) else (np.nan, np.nan)
    return {
        "overall": mean_of(value),
        "overall_low": overall[0],
        "overall_high": overall[1],
        "n": n,
        "value": inside,
        "low": ends[:, 0],
        "high": ends[:, 1],
        "rest": outside,
        "difference": inside - outside,
        "difference_low": apart[:, 0],
        "difference_high": apart[:, 1],
        "p": p,
        "p_bh": p_bh,
        "p_holm": intervals.holm(p),
        "confirmed": confirmed,
        "chance95": chance.reach,
        "p_worst": chance.worst,
    }


def _power(harm: Harm, n: np.ndarray, value: np.ndarray, found: search.Searched, alpha: float) -> dict[str, Any]:
    """What a slice must differ by to be found in one half and confirmed, by Holm's first step, in the other."""
    from scipy.special import ndtr

    tail = min(float(ndtr(-found.needed)), alpha / max(len(found.sets), 1))
    sizes = np.array([s for s in SIZES if s <= len(value) / 2])
    both = _detectable(harm, np.concatenate([n, sizes]), value, tail)
    return {"detectable": both[: len(n)], "sizes": sizes, "missed": both[len(n) :]}


def _detectable(harm: Harm, n: np.ndarray, value: np.ndarray, tail: float) -> np.ndarray:
    """(sizes,) by the normal approximation; both halves succeed with the square root of the power each."""
    each = math.sqrt(POWER)
    if not len(value):
        return np.full(len(n), np.nan)
    if harm.rate:
        return power.detectable_difference(value.mean(), n, len(value) - n, level=1 - 2 * tail, power=each)
    with np.errstate(divide="ignore"):
        error = value.std() * np.sqrt(1 / n + 1 / (len(value) - n))
    return np.where(n > 0, (power.normal(1 - tail) + power.normal(each)) * error, np.nan)
