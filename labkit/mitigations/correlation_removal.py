from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.mitigations import Answer, Fit
from labkit.mitigations._rules import seen


def correlation_removal(
    x: np.ndarray,
    y: np.ndarray,
    group: np.ndarray,
    fit: Fit,
    *,
    strength: Annotated[float, Range(0, 1), "share of the linear dependence on the group that is taken out"] = 1.0,
) -> Answer:
    """Every input less what a linear regression on the group says of it: its group's mean over its overall mean, so that no
    input is correlated with any group. As fairlearn's CorrelationRemover with ``alpha=strength``. What depends on
    the group in another way than its mean stays. Any number of classes and groups; reads the group at decision time."""
    known, place = np.unique(group, return_inverse=True)
    count = np.bincount(place)
    means = np.stack([np.bincount(place, column) / count for column in x.T], 1)
    shift = strength * (means - x.mean(0))
    model = fit(x - shift[place], y)
    return lambda x, group: model(x - shift[seen("correlation_removal", group, known)])
