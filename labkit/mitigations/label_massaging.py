from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.mitigations import Answer, Fit
from labkit.mitigations._rules import two_classes


def label_massaging(
    x: np.ndarray,
    y: np.ndarray,
    group: np.ndarray,
    positive: int,
    fit: Fit,
    *,
    strength: Annotated[
        float, Range(0, 1), "share of the label changes that would give every group the overall share"
    ] = 1.0,
) -> Answer:
    """The learner sees changed labels: in groups with fewer positives than overall the likeliest of the others are called
    positive, in groups with more the least likely positives are not, by the ranking of a model of the labels as they
    are (Kamiran and Calders, 2012, doi 10.1007/s10115-011-0463-8, section 5.2; for two groups the number of
    changes is theirs). Two classes; the group is not read at decision time."""
    two_classes("label_massaging", int(y.max()) + 1)
    rank = fit(x, y)(x)[:, positive]
    changed, overall = y.copy(), float((y == positive).mean())
    for g in np.unique(group):
        inside = group == g
        short = overall * inside.sum() - (inside & (y == positive)).sum()
        count = int(np.rint(strength * abs(short)))
        people = np.flatnonzero(inside & ((y != positive) if short > 0 else (y == positive)))
        nearest = people[np.argsort(-rank[people] if short > 0 else rank[people], kind="stable")][:count]
        changed[nearest] = positive if short > 0 else 1 - positive
    model = fit(x, changed)
    return model
