from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.mitigations import Answer, decides
from labkit.mitigations._rules import among, dealt, enough, margin, seen

LEVELS = np.linspace(0, 1, 201)


def group_thresholds(
    score: np.ndarray,
    y: np.ndarray,
    group: np.ndarray,
    positive: int,
    criterion: str,
    *,
    strength: Annotated[float, Range(0, 1), "how far each group's threshold moves from the model's own"] = 1.0,
) -> Answer:
    """A threshold for each group, under which all groups have one rate: of all common rates the one with most right
    answers (Hardt, Price and Srebro, 2016, arXiv 1610.02413; most accurate of all rules under such a
    constraint: Corbett-Davies et al., 2017, arXiv 1701.08230). Rates that are shares answered positive; any number of
    groups, and classes; reads the group at decision time, draws no lots."""
    asked, truth, above = "group_thresholds", y == positive, margin(score, positive)
    known, place = np.unique(group, return_inverse=True)
    inside = among(asked, criterion, truth)
    enough(asked, inside, place, len(known))
    right, thresholds = np.zeros(len(LEVELS)), np.empty((len(known), len(LEVELS)))
    for g in range(len(known)):
        thresholds[g] = np.quantile(above[inside & (place == g)], 1 - LEVELS, method="higher")
        thresholds[g, LEVELS == 1] = -np.inf
        order = np.sort(above[place == g])
        hits = np.sort(above[truth & (place == g)])
        selected = len(order) - np.searchsorted(order, thresholds[g], side="right")
        right += 2 * (len(hits) - np.searchsorted(hits, thresholds[g], side="right")) - selected
    chosen = strength * np.maximum(thresholds[:, right.argmax()], -2)

    def answer(score: np.ndarray, group: np.ndarray) -> np.ndarray:
        chance = margin(score, positive) > chosen[seen(asked, group, known)]
        return dealt(chance.astype(float), score, positive)

    return decides(answer)
