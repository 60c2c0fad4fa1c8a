from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.mitigations import Answer, decides
from labkit.mitigations._rules import among, dealt, enough, margin, seen, two_classes

WIDTHS = np.linspace(0, 1, 201)


def reject_option(
    score: np.ndarray,
    y: np.ndarray,
    group: np.ndarray,
    positive: int,
    criterion: str,
    *,
    strength: Annotated[float, Range(0, 1), "share of the region under which the rates are nearest"] = 1.0,
) -> Answer:
    """Near the border, where the model is least sure, groups below the overall rate are answered positive and groups above
    it are not (Kamiran, Karim and Zhang, 2012, doi 10.1109/ICDM.2012.45: reject option based classification). The
    region is the narrowest under which the groups' rates are nearest on the people fitted on. Two classes, any number
    of groups; reads the group at decision time, draws no lots."""
    asked, truth, above = "reject_option", y == positive, margin(score, positive)
    two_classes(asked, score.shape[1])
    known, place = np.unique(group, return_inverse=True)
    inside = among(asked, criterion, truth)
    enough(asked, inside, place, len(known))
    counted = np.eye(len(known))[place] * inside[:, None] / np.bincount(place[inside])
    raised = (above > 0) @ counted < (above > 0)[inside].mean()
    rates = np.array([_chosen(above, raised[place], width) @ counted for width in WIDTHS])
    width = strength * WIDTHS[np.ptp(rates, axis=1).round(12).argmin()]

    def answer(score: np.ndarray, group: np.ndarray) -> np.ndarray:
        chance = _chosen(margin(score, positive), raised[seen(asked, group, known)], width)
        return dealt(chance.astype(float), score, positive)

    return decides(answer)


def _chosen(above: np.ndarray, raised: np.ndarray, width: float) -> np.ndarray:
    return np.where(np.abs(above) < width, raised, above > 0)
