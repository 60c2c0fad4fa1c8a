from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.metrics import Reals
from labkit.metrics._mean import mean


def mean_error(
    y_true: Reals, y_pred: Reals, weight: np.ndarray | None = None
) -> Annotated[float, Range(-math.inf, math.inf)]:
    """The mean of estimate less truth, in the unit of the target: above 0 where it is overestimated; 0 is best."""
    return mean(np.asarray(y_pred) - y_true, weight)
