"""A noisy microphone or sensor."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._severity import at


def white_noise(x: np.ndarray, severity: int, generator: Draws) -> Annotated[np.ndarray, "audio", "series", "noise"]:
    """Adds normal noise at a signal-to-noise ratio of 24 down to 0 dB, against each channel's own standard deviation."""
    loudness = x.std(-1, keepdims=True) * 10 ** (-at(severity, (24, 18, 12, 6, 0)) / 20)
    return (x + loudness * generator.normal(*x.shape[1:])).astype(x.dtype)
