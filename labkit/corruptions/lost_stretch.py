"""A stretch that was not recorded."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._severity import at


def lost_stretch(
    x: np.ndarray, severity: int, generator: Draws
) -> Annotated[np.ndarray, "audio", "series", "recording"]:
    """Puts each channel's mean in the place of one stretch of 5 to 40 % of the time, the same in all channels."""
    steps = x.shape[-1]
    length = max(1, round(at(severity, (0.05, 0.1, 0.18, 0.28, 0.4)) * steps))
    start = np.round(generator.uniform(1) * (steps - length))
    lost = (np.arange(steps) >= start) & (np.arange(steps) < start + length)
    lost = lost.reshape(len(x), *[1] * (x.ndim - 2), steps)
    return np.where(lost, x.mean(-1, keepdims=True), x).astype(x.dtype)
