from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.mitigations import Answer, decides
from labkit.mitigations._rules import among, dealt, enough, margin

ROUNDS = 300


def blind_thresholds(
    score: np.ndarray,
    blind: np.ndarray,
    y: np.ndarray,
    group: np.ndarray,
    positive: int,
    criterion: str,
    *,
    strength: Annotated[float, Range(0, 1), "share of the shift under which all groups have one rate"] = 1.0,
) -> Answer:
    """A threshold that moves with how likely each group is, given the inputs: what is best where the group may not be read
    (Menon and Williamson, 2018, arXiv 1705.09055, as a plug-in rule with a logistic regression of the group).

    The margin rises by the groups' chances over their sizes, each times a multiplier; multipliers are moved until the
    rates meet on the people fitted on. It does no more than the inputs tell of the group. Rates that are shares
    answered positive; any number of groups, and classes; does not read the group at decision time, draws no lots."""
    from sklearn.linear_model import LogisticRegression

    asked, truth, above = "blind_thresholds", y == positive, margin(score, positive)
    known, place = np.unique(group, return_inverse=True)
    inside = among(asked, criterion, truth)
    enough(asked, inside, place, len(known))
    sizes = np.bincount(place[inside])
    model = LogisticRegression(max_iter=500).fit(blind[inside], place[inside])

    def pull(blind: np.ndarray, score: np.ndarray) -> np.ndarray:
        """(n, groups) by how much a group's rate rises when this person is answered positive."""
        chance = model.predict_proba(blind) / (sizes / sizes.sum())
        share = {"everybody": 1.0, "positives": score[:, [positive]], "negatives": 1 - score[:, [positive]]}
        return np.asarray(chance * share[_whom(inside, truth)])

    each, counted = pull(blind, score), np.eye(len(known))[place] * inside[:, None] / sizes
    multiplier, best, least = np.zeros(len(known)), np.zeros(len(known)), np.inf
    for step in np.geomspace(0.5, 0.002, ROUNDS):
        rate = (above + each @ multiplier > 0) @ counted
        if np.ptp(rate) < least:
            best, least = multiplier, float(np.ptp(rate))
        multiplier = multiplier - step * (rate - rate.mean())
    chosen = strength * best

    def answer(score: np.ndarray, blind: np.ndarray) -> np.ndarray:
        chance = margin(score, positive) + pull(blind, score) @ chosen > 0
        return dealt(chance.astype(float), score, positive)

    return decides(answer)


def _whom(inside: np.ndarray, truth: np.ndarray) -> str:
    if inside.all():
        return "everybody"
    return "positives" if (inside == truth).all() else "negatives"
