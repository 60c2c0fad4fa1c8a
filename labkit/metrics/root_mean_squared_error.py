from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.metrics import Reals
from labkit.metrics._mean import mean


def root_mean_squared_error(
    y_true: Reals, y_pred: Reals, weight: np.ndarray | None = None
) -> Annotated[float, Range(0, math.inf)]:
    """The root of the mean squared distance of estimate and truth, in the unit of the target, from 0; lower is better."""
    return mean((np.asarray(y_pred) - y_true) ** 2, weight) ** 0.5
