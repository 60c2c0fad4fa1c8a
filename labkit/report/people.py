"""The plain page's sentences about groups of people: who is affected, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from labkit.core import intervals
from labkit.core.words import number, share

# A rank (0 is kept first) and a sentence. Of one kind the sentence that tells most comes first.
Told = list[tuple[int, str]]
CHANCE = 0.05
# Of whom a rate is, and what happens to them, as people say it.
RATES = {
    "selection_rate": ("", "get “{}”"),
    "scoring_rate": ("", "score above the median"),
    "true_positive_rate": (" who are “{}”", "are answered so"),
}


def of_100(hits: float, n: float) -> str:
    """A share as a natural frequency with its interval."""
    if not n or np.isnan(n):
        return "an unknown number"
    low, high = (float(v) for v in intervals.wilson(hits, n))
    return f"{100 * hits / n:.0f} ({100 * low:.0f} to {100 * high:.0f})"


def _groups(name: str, record: Any) -> Told:
    """The two most different groups of each feature; of errors, of the feature that differs most."""
    for metric, words in RATES.items():
        if metric not in record.metrics:
            continue
        m = record.metric(metric)
        several = ["&" in feature for feature in record.features]
        order = np.lexsort((-np.nan_to_num(record.difference[m]), several))
        who, what = (word.format(record.positive) for word in words)
        told = [text for f in order if (text := _pair(name, record, m, int(f), who, what))]
        return [(2, text) for text in told[:1]] if who else [(1, text) for text in told]
    return []


def _pair(name: str, record: Any, m: int, f: int, who: str, what: str) -> str:
    top, bottom = int(record.highest[m, f]), int(record.lowest[m, f])
    if top < 0 or record.feature_of[top] != f:
        return ""
    low, high = (of_100(record.hits[m, g], record.of[m, g]) for g in (bottom, top))
    chance = "" if record.p[m, f] < CHANCE else " This may be chance."
    return (
        f"{name}, {record.features[f]}: of 100 “{record.group[bottom]}”{who} about {low} {what}; of 100 "
        f"“{record.group[top]}” {high}.{chance}"
    )


def _impact(name: str, record: Any) -> Told:
    """The least ratio of a set in which it does not rest on few people."""
    sets = [s for s, c in enumerate(record.least_category) if c >= 0 and not record.small[c]]
    if not sets:
        return []
    s = min(sets, key=lambda s: float(record.least_ratio[s]))
    c, top = int(record.least_category[s]), int(record.reference[s])
    chance = "" if record.p_least[s] < CHANCE else " This may be chance."
    ratio = number(record.ratio[c], record.ratio_low[c], record.ratio_high[c])
    return [
        (4, f"{name}: the lowest impact ratio is {ratio}, {record.category[c]} over {record.category[top]}.{chance}")
    ]


def _slices(name: str, record: Any) -> Told:
    if not record.confirmed.any():
        return [(3, f"{name}: among no part of the people was a worse {record.metric} confirmed.")]
    i, word = record.worst, share if record.rate else number
    value = word(record.value[i], record.low[i], record.high[i])
    return [(3, f"{name}: {record.metric} where {record.slice[i]}: {value}; elsewhere {word(record.rest[i])}.")]


def _flipped(name: str, record: Any) -> Told:
    changed = share(record.moved, record.moved_low, record.moved_high)
    return [(3, f"{name}: with {record.attribute} alone exchanged, {changed} answers change.")]


def _remedy(name: str, record: Any) -> Told:
    begin = f"{name}, {record.feature}: "
    if not record.found:
        return [(2, f"{begin}of {len(record.method) - 1} other rules none differs less at about this accuracy.")]
    at = record.least
    gain, low, high = (100 * float(v[at]) for v in (record.gain, record.gain_low, record.gain_high))
    price = 100 * float(record.cost[at])
    cost = f"{price:.1f} points" if price >= 0.05 else "no loss"
    sure = "" if low > 0 else " This may be chance."
    text = f"{record.named(at)} would take {gain:.0f} ({low:.0f} to {high:.0f}) points off the difference, at {cost} of accuracy."
    return [(2, f"{begin}{text}{sure}")]


def _proxies(name: str, record: Any) -> Told:
    i, k, t = np.unravel_index(int(np.nanargmax(record.auc)), record.auc.shape)
    if record.p_holm[i, k, t] >= CHANCE:
        return []
    ends = (100 * float(v[i, k, t]) for v in (record.auc, record.low, record.high))
    right = "{:.0f} of 100 pairs ({:.0f} to {:.0f})".format(*ends)
    return [(4, f"{name}: other columns tell {record.sensitive} {record.targets[t]} from others in {right}.")]


def _columns(name: str, record: Any) -> Told:
    sure = [record.features[f] for f in record.order if record.sure[f]][:2]
    return (
        [(4, f"{name}: the difference by {record.attribute} goes most through {' and '.join(sure)}.")] if sure else []
    )


TELL: dict[str, Callable[[str, Any], Told]] = {
    "audit_groups": _groups,
    "impact_ratios": _impact,
    "find_slices": _slices,
    "flip_test": _flipped,
    "mitigate": _remedy,
    "proxies": _proxies,
    "gap_decomposition": _columns,
}
