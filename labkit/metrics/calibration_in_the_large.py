from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.metrics import Binary, Chances
from labkit.metrics._mean import mean


def calibration_in_the_large(
    y_true: Binary, y_proba: Chances, weight: np.ndarray | None = None
) -> Annotated[float, Range(-1, 1)]:
    """The mean probability less the share of positives, in [-1, 1]: above 0 where the model says too much; 0 is best.

    The first thing that calibration within a group asks (Cox, 1958, doi 10.1093/biomet/45.3-4.562).
    """
    return mean(np.asarray(y_proba, float) - y_true, weight)
