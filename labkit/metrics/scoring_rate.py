from __future__ import annotations

import numpy as np

from labkit.core.intervals import proportion


def scoring_rate(above: np.ndarray, weight: np.ndarray | None = None) -> float:
    """The share of scores strictly above the median of all people's, in [0, 1]: what New York City's Local Law 144 puts in
    the place of a selection rate for tools that score (6 RCNY 5-300). Scores at the median count as not above it.

    Args:
        above: (n,) whether a person's score is above the median over everybody.
    """
    return proportion(above, weight=weight)
