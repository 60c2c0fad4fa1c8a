from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.core.refused import Refused
from labkit.mitigations import Answer, decides
from labkit.mitigations._rules import dealt, enough, margin, seen

GRID = np.linspace(0, 1, 1001)
CRITERIA = ("equalized_odds", "true_positive_rate", "false_negative_rate", "false_positive_rate", "true_negative_rate")
MOST = 2000


def equalized_odds_postprocessing(
    score: np.ndarray,
    y: np.ndarray,
    group: np.ndarray,
    positive: int,
    criterion: str,
    *,
    strength: Annotated[float, Range(0, 1), "chance of the equalized answer in place of the model's own"] = 1.0,
) -> Answer:
    """All groups at one point of their ROC curves: the one with most right answers under all groups' convex hulls. A group
    reaches it by lots between two thresholds, and, where its own hull is higher, between them and a coin (Hardt,
    Price and Srebro, 2016, arXiv 1610.02413). Any number of groups; more than two classes as the positive against the
    others; reads the group at decision time, and draws lots."""
    asked, truth, above = "equalized_odds_postprocessing", y == positive, margin(score, positive)
    if criterion not in CRITERIA:
        given = "a criterion that equal errors do not settle"
        raise Refused(f"{asked} for {criterion}", given, f"{', '.join(CRITERIA)}, or the method group_thresholds")
    known, place = np.unique(group, return_inverse=True)
    for inside in (truth, ~truth):
        enough(asked, inside, place, len(known))
    hulls = [_hull(above[place == g], truth[place == g]) for g in range(len(known))]
    reached = np.array([np.interp(GRID, wrong, hit) for wrong, hit, _ in hulls])
    share = truth.mean()
    at = int((share * reached.min(0) + (1 - share) * (1 - GRID)).round(12).argmax())
    rules = [_mixed(hull, GRID[at], float(reached[:, at].min())) for hull in hulls]

    def answer(score: np.ndarray, group: np.ndarray) -> np.ndarray:
        margins, where = margin(score, positive), seen(asked, group, known)
        chance = (margins > 0).astype(float)
        for g, (low, high, of_low, coin) in enumerate(rules):
            own = where == g
            between = of_low * (margins[own] > low) + (1 - of_low) * (margins[own] > high)
            equal = coin * GRID[at] + (1 - coin) * between
            chance[own] += strength * (equal - chance[own])
        return dealt(chance, score, positive)

    return decides(answer)


def _hull(above: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """False and true positive rates of the upper convex hull of a group's ROC curve, and its thresholds (answers above)."""
    cuts = np.unique(above)
    if len(cuts) > MOST:
        cuts = np.unique(np.quantile(cuts, np.linspace(0, 1, MOST)))
    cuts = np.concatenate([[np.inf], cuts[::-1], [-np.inf]])
    rates = [1 - np.searchsorted(np.sort(above[t]), cuts, side="right") / t.sum() for t in (~truth, truth)]
    wrong, hit = rates
    kept: list[int] = []
    for i in range(len(cuts)):
        while len(kept) > 1 and _below(wrong, hit, kept[-2], kept[-1], i):
            kept.pop()
        kept.append(i)
    return wrong[kept], hit[kept], cuts[kept]


def _below(wrong: np.ndarray, hit: np.ndarray, a: int, b: int, c: int) -> bool:
    """Whether point b lies on or under the line from a to c."""
    return bool((hit[b] - hit[a]) * (wrong[c] - wrong[a]) <= (hit[c] - hit[a]) * (wrong[b] - wrong[a]))


def _mixed(
    hull: tuple[np.ndarray, np.ndarray, np.ndarray], wrong: float, hit: float
) -> tuple[float, float, float, float]:
    """The two thresholds around a false positive rate, the lower one's share, and the share of the coin under the hull."""
    rates, hits, cuts = hull
    right = int(np.clip(np.searchsorted(rates, wrong), 1, len(rates) - 1))
    width = rates[right] - rates[right - 1]
    of_low = float((wrong - rates[right - 1]) / width) if width > 0 else 1.0
    own = of_low * hits[right] + (1 - of_low) * hits[right - 1]
    coin = float((own - hit) / (own - wrong)) if own - wrong > 1e-12 else 0.0
    return float(cuts[right]), float(cuts[right - 1]), of_low, coin
