"""Noise of counted photons."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._severity import at, restore, unit


def shot_noise(
    x: np.ndarray, severity: int, generator: Draws, bounds: tuple[float, float]
) -> Annotated[np.ndarray, "image", "noise"]:
    """Draws each value from a Poisson distribution: full brightness is 60 photons, down to 3.

    Source: Hendrycks and Dietterich, 2019, arXiv 1903.12261 (section 4).
    """
    u, photons = unit(x, bounds), at(severity, (60, 25, 12, 6, 3))
    drawn = [np.random.default_rng(seed).poisson(row * photons) for seed, row in zip(generator.seeds(), u)]
    return restore(np.array(drawn, np.float32).reshape(x.shape) / photons, bounds)
