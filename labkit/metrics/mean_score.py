from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.metrics import Reals
from labkit.metrics._mean import mean


def mean_score(y_pred: Reals, weight: np.ndarray | None = None) -> Annotated[float, Range(-math.inf, math.inf)]:
    """The mean of the scores or estimates, in their own unit. Neither high nor low is better."""
    return mean(y_pred, weight)
