"""Recorded at a lower rate."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.corruptions._severity import at


def resampled(x: np.ndarray, severity: int) -> Annotated[np.ndarray, "audio", "series", "recording"]:
    """Keeps 0.7 down to 0.15 of the steps, evenly spread, with straight lines between them."""
    steps = x.shape[-1]
    kept = max(2, round(at(severity, (0.7, 0.5, 0.35, 0.25, 0.15)) * steps))
    coarse = _read(x, np.linspace(0, steps - 1, kept))
    return _read(coarse, np.linspace(0, kept - 1, steps)).astype(x.dtype)


def _read(x: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The values at places between the steps."""
    left = np.floor(places).astype(np.int64)
    share = places - left
    return x[..., left] * (1 - share) + x[..., np.minimum(left + 1, x.shape[-1] - 1)] * share
