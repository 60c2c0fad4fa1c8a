"""Too loud or too quiet."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._severity import at


def gain(x: np.ndarray, severity: int, generator: Draws) -> Annotated[np.ndarray, "audio", "series", "recording"]:
    """Makes each row louder or quieter, whichever its draw says, by 2 to 16 dB. Bounds, where there are any, cut it."""
    factor = 10 ** (at(severity, (2, 4, 7, 11, 16)) / 20 * generator.signs(1))
    return (x * factor.reshape(-1, *[1] * (x.ndim - 1))).astype(x.dtype)
