from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.core.refused import Refused
from labkit.mitigations import Answer, decides
from labkit.mitigations._rules import dealt, margin, seen, two_classes

# What each criterion equalizes of the scores: their generalized false negative rate, false positive rate, or both weighed.
COSTS = {
    "true_positive_rate": (1.0, 0.0),
    "false_negative_rate": (1.0, 0.0),
    "false_positive_rate": (0.0, 1.0),
    "true_negative_rate": (0.0, 1.0),
    "equalized_odds": (1.0, 1.0),
}


def calibrated_equalized_odds(
    score: np.ndarray,
    y: np.ndarray,
    group: np.ndarray,
    positive: int,
    criterion: str,
    *,
    strength: Annotated[float, Range(0, 1), "share of the lots that would make the groups' errors equal"] = 1.0,
) -> Answer:
    """In groups with smaller errors than the worst some people, drawn by lot, get the answer that their group's share of
    positives alone would give, so that the errors of the scores become as large as the worst group's while they stay
    calibrated (Pleiss et al., 2017, arXiv 1709.02012). Nobody's error shrinks. Two classes, any number of groups; reads
    the group at decision time, and draws lots."""
    asked, truth, chance = "calibrated_equalized_odds", y == positive, score[:, positive]
    two_classes(asked, score.shape[1])
    if criterion not in COSTS:
        given = "a criterion that is no error rate"
        raise Refused(f"{asked} for {criterion}", given, f"{', '.join(COSTS)}, or the method group_thresholds")
    known, place = np.unique(group, return_inverse=True)
    parts = [(chance[place == g], truth[place == g]) for g in range(len(known))]
    if any(t.all() or not t.any() for _, t in parts):
        raise Refused(asked, "a group in which all people have one class", "more people to fit on")
    shares = np.array([t.mean() for _, t in parts])
    now = np.array([_cost(c, t, criterion) for c, t in parts])
    trivial = np.array([_cost(np.full(len(t), t.mean()), t, criterion) for _, t in parts])
    room = trivial - now
    lots = strength * np.clip(np.divide(now.max() - now, room, out=np.zeros(len(known)), where=room > 0), 0, 1)

    def answer(score: np.ndarray, group: np.ndarray) -> np.ndarray:
        at = seen(asked, group, known)
        plain = margin(score, positive) > 0
        return dealt((1 - lots[at]) * plain + lots[at] * (shares[at] > 0.5), score, positive)

    return decides(answer)


def _cost(chance: np.ndarray, truth: np.ndarray, criterion: str) -> float:
    missed, wrong = (1 - chance[truth]).mean(), chance[~truth].mean()
    of_missed, of_wrong = COSTS[criterion]
    if criterion == "equalized_odds":
        of_missed, of_wrong = float(truth.mean()), float(1 - truth.mean())
    return float(of_missed * missed + of_wrong * wrong)
