from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.metrics import Binary
from labkit.metrics._mean import ratio


def treatment_equality(
    y_true: Binary, y_pred: Binary, weight: np.ndarray | None = None
) -> Annotated[float, Range(0, math.inf)]:
    """False negatives for each false positive, from 0; nan without a false positive.

    Equal over groups where errors fall for and against people in the same proportion (Berk et al., 2021, arXiv
    1703.09207). Neither high nor low is better.
    """
    true, said = np.asarray(y_true) == 1, np.asarray(y_pred) == 1
    return ratio(true & ~said, ~true & said, weight)
