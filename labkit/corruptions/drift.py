"""A sensor whose zero wanders."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._severity import at


def drift(x: np.ndarray, severity: int, generator: Draws) -> Annotated[np.ndarray, "audio", "series", "noise"]:
    """Adds a slow wave, three quarters of a period long, of 0.25 to 1.7 standard deviations of each channel."""
    phase = generator.uniform(*x.shape[1:-1], 1)
    wave = np.sin(2 * np.pi * (0.75 * np.arange(x.shape[-1]) / x.shape[-1] + phase))
    return (x + at(severity, (0.25, 0.5, 0.8, 1.2, 1.7)) * x.std(-1, keepdims=True) * wave).astype(x.dtype)
