"""Metrics: ``([y_true][, y_pred][, y_proba][, weight]) -> float``, one a file.

``y_true`` and ``y_pred`` hold 1 for the class that is counted as positive and 0 for all others, unless the metric
annotates them as ``Labels``; ``y_proba`` holds the probability of the positive class. Metrics of ``Reals`` take numbers,
such as a regression's estimates, and ``above`` says whether a score is above the median of all. What cannot be told (the
true positive rate without a positive) is nan, never 0. A proportion is a ``Rate``, which knows its counts. Values lie in
[0, 1] unless the annotated return type has another ``Range``.

``weight`` is optional: (..., n) says how often each row counts, for any number of leading indices at once, and the
result has their shape. With it a bootstrap of a thousand replicates is one call; without it, a thousand calls.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

Binary = Annotated[np.ndarray, "1 for the positive class, 0 for the others"]
Labels = Annotated[np.ndarray, "class indices"]
Chances = Annotated[np.ndarray, "probability of the positive class"]
Reals = Annotated[np.ndarray, "numbers, such as a regression's estimates"]
