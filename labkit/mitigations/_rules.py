"""What post-processing rules share: how far an answer is from turning, among whom a rate is taken, and chances dealt."""

from __future__ import annotations

import numpy as np

from labkit.core.refused import Refused

# Rates as shares of people who are answered positive; a rate and its complement differ by as much between groups.
AMONG = {
    "selection_rate": "everybody",
    "true_positive_rate": "positives",
    "false_negative_rate": "positives",
    "false_positive_rate": "negatives",
    "true_negative_rate": "negatives",
}


def among(asked: str, criterion: str, truth: np.ndarray) -> np.ndarray:
    """(n,) the people among whom the criterion is a share answered positive. Refused where it is no such share."""
    if criterion not in AMONG:
        instead = f"{', '.join(AMONG)}; for equalized_odds the method equalized_odds_postprocessing"
        raise Refused(f"{asked} for {criterion}", "a criterion that is no share answered positive", instead)
    return {"everybody": np.ones(len(truth), bool), "positives": truth, "negatives": ~truth}[AMONG[criterion]]


def margin(score: np.ndarray, positive: int) -> np.ndarray:
    """(n,) probability of the positive class less that of the likeliest other: above 0 the answer is positive."""
    return score[:, positive] - np.delete(score, positive, 1).max(1)


def dealt(chance: np.ndarray, score: np.ndarray, positive: int) -> np.ndarray:
    """(n, classes) the positive answer with these chances, and the likeliest other answer with the rest."""
    rest = np.where(np.arange(score.shape[1]) == positive, -np.inf, score)
    found, chance = np.zeros(score.shape), np.clip(chance, 0, 1)  # mixtures may miss 0 and 1 by rounding
    found[np.arange(len(score)), rest.argmax(1)] = 1 - chance
    found[:, positive] = chance
    return found


def seen(asked: str, group: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(n,) each person's place among the known groups (sorted codes). Refused for a person of any other group."""
    strange = ~np.isin(group, known)
    if strange.any():
        given = (
            f"{int(strange.sum())} of {len(group)} people of a group that the rule was not fitted on, or of none known"
        )
        raise Refused(
            f"a decision by {asked}", given, "people of the groups that it was fitted on, or a rule without groups"
        )
    return np.searchsorted(known, group)


def two_classes(asked: str, classes: int) -> None:
    """Refuse more than two classes, naming the methods that take them."""
    if classes > 2:
        instead = "reweighing, resampling, group_thresholds, blind_thresholds or equalized_odds_postprocessing"
        raise Refused(asked, f"{classes} classes, where the method knows two", instead)


def enough(asked: str, inside: np.ndarray, place: np.ndarray, groups: int) -> None:
    """Refuse where a group has nobody among those whom the rate is taken of."""
    if (np.bincount(place[inside], minlength=groups) == 0).any():
        raise Refused(asked, "a group in which nobody has the class that the rate is taken of", "more people to fit on")
