"""Recorded too loud."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.corruptions._severity import at


def clipping(x: np.ndarray, severity: int) -> Annotated[np.ndarray, "audio", "series", "recording"]:
    """Cuts off what lies further from a channel's mean than 0.7 down to 0.12 of its furthest value."""
    middle = x.mean(-1, keepdims=True)
    most = at(severity, (0.7, 0.5, 0.35, 0.22, 0.12)) * np.abs(x - middle).max(-1, keepdims=True)
    return np.clip(x, middle - most, middle + most).astype(x.dtype)
