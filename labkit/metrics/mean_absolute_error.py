from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.metrics import Reals
from labkit.metrics._mean import mean


def mean_absolute_error(
    y_true: Reals, y_pred: Reals, weight: np.ndarray | None = None
) -> Annotated[float, Range(0, math.inf)]:
    """The mean distance of estimate and truth, in the unit of the target, from 0; lower is better."""
    return mean(np.abs(np.asarray(y_pred) - y_true), weight)
